-- The Redis clock, which all machines share.
--
-- GIVES clock now_s

local clock = redis.call("TIME")
local now_s = tonumber(clock[1])
