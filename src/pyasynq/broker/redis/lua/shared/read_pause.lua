-- Read the pause of an entry. A stored value is "<resumed_s>:<ends_s>", Unix seconds; while the entry
-- is paused, resumed_s is empty.
--
-- NEEDS now_s
-- GIVES read_pause

-- Return resumed_s and ends_s; nil if there is no such value, or it is over or cannot be read.
local function read_pause(value)
  local resumed, ends = string.match(value or "", "^(%d*):(%d+)$")
  if resumed and tonumber(ends) > now_s then
    return resumed, tonumber(ends)
  end
end
