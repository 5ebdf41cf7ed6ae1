-- When a token ends.
--
-- NEEDS seconds_ahead
-- GIVES token_end

-- After the lease, but not after the deadline of its holder; 0 is no deadline.
local function token_end(seconds, deadline)
  local ends = seconds_ahead(seconds)
  if deadline > 0 and deadline < ends then
    return deadline
  end
  return ends
end
