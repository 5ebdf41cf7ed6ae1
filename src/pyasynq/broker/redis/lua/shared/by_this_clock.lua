-- Convert instants from the caller's clock to the Redis clock.
--
-- NEEDS sent_s now_s
-- GIVES by_this_clock

-- Return at_s, corrected by the difference of the clocks if that is more than 5 seconds: two clocks
-- that agree may still read different seconds.
local function by_this_clock(at_s)
  local skew = now_s - tonumber(sent_s)
  if math.abs(skew) <= 5 then
    return at_s
  end
  return at_s + skew
end
