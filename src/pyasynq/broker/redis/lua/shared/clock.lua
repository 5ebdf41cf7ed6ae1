-- The Redis clock, which all machines share.
--
-- GIVES clock now_s now_ns seconds_ahead

local clock = redis.call("TIME")
local now_s = tonumber(clock[1])
local now_ns = clock[1] .. string.format("%06d", clock[2]) .. "000"

-- Whole seconds from now, rounded up: scores are seconds, and nothing may end early.
local function seconds_ahead(seconds)
  return math.ceil(now_s + tonumber(clock[2]) / 1000000 + seconds)
end
