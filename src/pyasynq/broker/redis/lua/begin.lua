-- Ask for an entry's last tick; an entry that has none, or one that is no instant, begins now.
--
-- KEYS
--   last     string  the entry's last tick, Unix seconds
-- ARGV
--   begin_s  int     where to begin, Unix seconds
--   keep_s   int     life of the last tick, seconds
-- RETURNS
--   the last tick
-- SOURCE
--   protocol 7.2; asynq knows no last tick (D48)

if redis.call("SET", last, begin_s, "NX", "EX", keep_s) then
  return tonumber(begin_s)
end
local known = tonumber(redis.call("GET", last))
if not known or known ~= math.floor(known) or known < 0 or known > 200000000000 then
  redis.call("SET", last, begin_s, "EX", keep_s)
  return tonumber(begin_s)
end
redis.call("EXPIRE", last, keep_s)
return known
