-- Return an entry's last tick. If it is missing, not an instant or too far in the future, store
-- begin_s instead, or now if begin_s is in the future; a scheduler with a fast clock writes such times.
--
-- USES clock
-- KEYS
--   last        string  the entry's last tick, Unix seconds
-- ARGV
--   begin_s     int     last tick of a new entry, Unix seconds
--   ttl_s       int     TTL of the last tick, seconds
--   early_s     int     most that begin_s may be ahead of the Redis clock, seconds
--   credible_s  int     most that a stored last tick may be ahead of the Redis clock, seconds
-- RETURNS
--   the last tick, 1 if it was stored before or else 0, and the last tick that was ignored, or -1
-- SOURCE
--   protocol 7.2; asynq has no last tick (D48)

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
