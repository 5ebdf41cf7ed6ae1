-- Give a token of a semaphore back.
--
-- USES clock ahead tokens
-- KEYS
--   semaphore  zset
-- ARGV
--   holder     str  who holds the token
--   mark       int  of who took it; another mark is another run's
-- RETURNS
--   1 given back, 0 no longer held
-- SOURCE
--   protocol 11.2 (asynq x/rate Semaphore.Release); leaves the token of another run (D59)

local score = redis.call("ZSCORE", semaphore, holder)
if not token_is_of(score and tonumber(score), tonumber(mark)) then
  redis.call("ZREM", semaphore, "")  -- a replica refuses: it may not know the token
  return 0
end
return redis.call("ZREM", semaphore, holder)
