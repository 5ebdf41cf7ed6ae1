-- Instants that the caller has reckoned from its own clock, by the Redis clock.
--
-- NEEDS sent_s now_s
-- GIVES by_this_clock

-- Return at_s as it would be if the caller's clock agreed. Small differences stay: what two clocks
-- say in the same second may differ by one.
local function by_this_clock(at_s)
  local skew = now_s - tonumber(sent_s)
  if math.abs(skew) <= 5 then
    return at_s
  end
  return at_s + skew
end
