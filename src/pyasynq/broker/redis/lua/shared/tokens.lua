-- When a token ends, and whose it is.
--
-- NEEDS seconds_ahead
-- GIVES token_score token_is_of token_ends

-- The score of a token lies in the second before its end, a fraction into it that is its taker's
-- mark, 1 to 2^20 - 1: Go counts it until its end, and no other taker of the same holder has it.
local MARKS = 2 ^ 20

local function token_score(ends, mark)
  return ends - 1 + mark / MARKS
end

local function token_is_of(score, mark)
  return score and score % 1 * MARKS == mark
end

-- After the lease, but not after the deadline of its holder; 0 is no deadline.
local function token_ends(seconds, deadline)
  local ends = seconds_ahead(seconds)
  if deadline > 0 and deadline < ends then
    return deadline
  end
  return ends
end
