-- Compute when a token of a semaphore ends.
--
-- NEEDS seconds_ahead
-- GIVES token_end

-- Return the end of the lease, or the holder's deadline if that is earlier; 0 means no deadline.
local function token_end(seconds, deadline)
  local ends = seconds_ahead(seconds)
  if deadline > 0 and deadline < ends then
    return deadline
  end
  return ends
end
