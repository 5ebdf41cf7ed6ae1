-- Write settings that operators want servers to have, with the time of Redis before each.
--
-- USES clock
-- KEYS
--   control  hash
-- EACH
--   field    str   name of the setting and target
--   setting  str   JSON of the other values
-- RETURNS
--   1
-- SOURCE
--   none: asynq has no such settings

local now_us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
-- Later than all others, even if the clock was set back: the newest holds.
for _, stored in ipairs(redis.call("HVALS", control)) do
  now_us = math.max(now_us, (tonumber(stored:match("^%d+")) or 0) + 1)
end
for i = 1, #each, stride do
  redis.call("HSET", control, each[i], string.format("%.0f ", now_us) .. each[i + 1])
end
return 1
