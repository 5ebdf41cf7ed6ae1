-- Give a token of a semaphore back.
--
-- KEYS
--   semaphore  zset
-- ARGV
--   holder     str  who holds the token
--   ends_s     int  its end, as it was last told; another end is another run's
-- RETURNS
--   1 given back, 0 no longer held
-- SOURCE
--   protocol 11.2 (asynq x/rate Semaphore.Release); leaves the token of another run (D59)

local score = redis.call("ZSCORE", semaphore, holder)
if not score or tonumber(score) ~= tonumber(ends_s) then
  return 0
end
return redis.call("ZREM", semaphore, holder)
