-- Read numbers from fields of a hash, which any client may have written.
--
-- GIVES to_whole

-- Return a field as a whole number; 0 if it is not a number above 0 and below 1e12.
local function to_whole(field)
  local number = tonumber(field or 0)
  return number and number > 0 and number < 1e12 and math.floor(number) or 0
end
