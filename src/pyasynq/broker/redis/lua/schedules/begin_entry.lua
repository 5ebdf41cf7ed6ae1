-- Ask for an entry's last tick. An entry begins now that has none, one that is no instant, or one
-- that is to come: a scheduler whose clock is fast has left it, or wants to begin there.
--
-- USES clock
-- KEYS
--   last        string  the entry's last tick, Unix seconds
-- ARGV
--   begin_s     int     where to begin, Unix seconds
--   ttl_s       int     TTL of the last tick, seconds
--   early_s     int     where to begin may lie so much ahead of the Redis clock, seconds
--   credible_s  int     a last tick that is further ahead counts as none, seconds
-- RETURNS
--   the last tick, 1 if it was known or else 0, and the last tick that is not believed, or -1
-- SOURCE
--   protocol 7.2; asynq knows no last tick (D48)

local first = tonumber(begin_s)
if first > now_s + tonumber(early_s) then
  first = now_s
end
if redis.call("SET", last, first, "NX", "EX", ttl_s) then
  return {first, 0, -1}
end
local known = tonumber(redis.call("GET", last))
local sound = known and known == math.floor(known) and known >= 0 and known <= 200000000000
if sound and known <= now_s + tonumber(credible_s) then
  redis.call("EXPIRE", last, ttl_s)
  return {known, 1, -1}
end
redis.call("SET", last, first, "EX", ttl_s)
return {first, 0, sound and known or -1}
