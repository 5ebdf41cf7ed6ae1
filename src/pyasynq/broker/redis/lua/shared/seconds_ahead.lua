-- Compute instants in the future.
--
-- NEEDS clock now_s
-- GIVES seconds_ahead

-- Return the Unix second that is this many seconds from now. It is rounded up, because scores are
-- whole seconds and nothing may end early.
local function seconds_ahead(seconds)
  return math.ceil(now_s + tonumber(clock[2]) / 1000000 + seconds)
end
