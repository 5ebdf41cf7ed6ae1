-- Take a token of a semaphore, or keep the one held.
--
-- USES clock ahead tokens
-- KEYS
--   semaphore   zset
-- ARGV
--   holder      str    who takes it
--   limit       int    tokens there are
--   lease_s     float  length of the lease from now, seconds
--   mark        int    of who takes it, 1 to 2^20 - 1
--   deadline_s  int    Unix second after which the holder needs it no more; 0 for none
-- RETURNS
--   end of the token (Unix seconds), or 0 if all tokens are taken
-- SOURCE
--   protocol 11.2 (asynq x/rate acquireCmd); a holder may ask again when all are taken (D59)

-- A replica refuses, which may know of tokens that were given back. And a script that has deleted
-- may also add when Redis is full; tasks that need a token must end.
redis.call("ZREM", semaphore, "")
local taken = redis.call("ZCOUNT", semaphore, "(" .. now_s - 1, "+inf")
local mine = redis.call("ZSCORE", semaphore, holder)
local held = mine and tonumber(mine) > now_s - 1
if not held and taken >= tonumber(limit) then
  return 0
end
local over = redis.call("ZRANGEBYSCORE", semaphore, "-inf", now_s - 1, "LIMIT", 0, 1000)
if #over > 0 then
  redis.call("ZREM", semaphore, unpack(over))
end
local ends = token_ends(lease_s, tonumber(deadline_s))
redis.call("ZADD", semaphore, token_score(ends, tonumber(mark)), holder)
return ends
