-- Take a token of a semaphore.
--
-- USES clock seconds_ahead token_end
-- KEYS
--   semaphore   zset
-- ARGV
--   holder      str    who takes it; every token has a holder of its own
--   limit       int    tokens there are
--   lease_s     float  length of the lease from now, seconds
--   deadline_s  int    Unix second after which the holder needs it no more; 0 for none
-- RETURNS
--   end of the token (Unix seconds), or 0 if all tokens are taken
-- SOURCE
--   protocol 11.2 (asynq x/rate acquireCmd)

redis.call("ZREMRANGEBYSCORE", semaphore, "-inf", now_s - 1)
local taken = redis.call("ZCARD", semaphore) >= tonumber(limit)
if taken and not redis.call("ZSCORE", semaphore, holder) then  -- it is there if the call was sent before
  return 0
end
local ends = token_end(lease_s, tonumber(deadline_s))
redis.call("ZADD", semaphore, ends, holder)
return ends
