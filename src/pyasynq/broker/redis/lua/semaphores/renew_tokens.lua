-- Renew tokens of a semaphore, also if all its tokens are taken.
--
-- USES clock seconds_ahead token_end
-- KEYS
--   semaphore   zset
-- PRIMARY semaphore
-- ARGV
--   lease_s     float  length of the lease from now, seconds
-- EACH
--   holder      str    id of the holder
--   deadline_s  int    Unix second after which the holder no longer needs it; 0 for none
-- RETURNS
--   for each: end of the token (Unix seconds), or 0 if it is lost
-- SOURCE
--   not in asynq, which never renews a token (D59)

local answers = {}
for i = 1, #each, stride do
  local held = redis.call("ZSCORE", semaphore, each[i])
  local ends = held and token_end(lease_s, each[i + 1]) or 0
  if held then
    redis.call("ZADD", semaphore, ends, each[i])
  end
  answers[#answers + 1] = ends
end
return answers
