-- Renew tokens of a semaphore; a full semaphore refuses none.
--
-- USES clock ahead tokens
-- KEYS
--   semaphore   zset
-- ARGV
--   lease_s     float  length of the lease from now, seconds
-- EACH
--   holder      str    who holds the token
--   mark        int    of who took it; another mark is another run's
--   deadline_s  int    Unix second after which the holder needs it no more; 0 for none
-- RETURNS
--   for each: end of the token (Unix seconds), or 0 if it is lost
-- SOURCE
--   own addition (D59); the reference has no renewal

local holders = {}
for i = 1, #each, stride do
  holders[#holders + 1] = each[i]
end
local answers, scores = {}, redis.call("ZMSCORE", semaphore, unpack(holders))
-- A script that has deleted may also add when Redis is full; tokens must outlast that.
redis.call("ZREM", semaphore, "")
for n, holder in ipairs(holders) do
  local i = 1 + (n - 1) * stride
  answers[n] = 0
  if token_is_of(scores[n] and tonumber(scores[n]), each[i + 1]) then
    answers[n] = token_ends(lease_s, each[i + 2])
    redis.call("ZADD", semaphore, "XX", token_score(answers[n], each[i + 1]), holder)
  end
end
return answers
