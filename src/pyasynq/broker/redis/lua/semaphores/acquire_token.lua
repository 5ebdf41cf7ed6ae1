-- Take a token of a semaphore.
--
-- USES clock seconds_ahead token_end
-- KEYS
--   semaphore   zset
-- ARGV
--   holder      str    id of the holder, unique within the semaphore
--   limit       int    number of tokens
--   lease_s     float  length of the lease from now, seconds
--   deadline_s  int    Unix second after which the holder no longer needs it; 0 for none
-- RETURNS
--   end of the token (Unix seconds), or 0 if all tokens are taken
-- SOURCE
--   protocol 11.2 (asynq x/rate acquireCmd)

redis.call("ZREMRANGEBYSCORE", semaphore, "-inf", now_s - 1)
local is_full = redis.call("ZCARD", semaphore) >= tonumber(limit)
if is_full and not redis.call("ZSCORE", semaphore, holder) then  -- a repeated call finds its holder
  return 0
end
local ends = token_end(lease_s, tonumber(deadline_s))
redis.call("ZADD", semaphore, ends, holder)
return ends
