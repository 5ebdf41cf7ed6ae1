-- Instants that are still to come.
--
-- NEEDS clock now_s
-- GIVES seconds_ahead

-- Whole seconds from now, rounded up: scores are seconds, and nothing may end early.
local function seconds_ahead(seconds)
  return math.ceil(now_s + tonumber(clock[2]) / 1000000 + seconds)
end
