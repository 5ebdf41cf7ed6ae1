-- Taking ids out of a list.
--
-- GIVES take_from_tail

-- Take ids out of the right end of a list, where the oldest are: most of those that are looked for
-- stand together there, and a few calls take out many. Returns a table of those that were there.
local function take_from_tail(list, ids)
  local wanted = {}
  for _, id in ipairs(ids) do
    wanted[id] = true
  end
  local found, left = {}, {}
  local tail = redis.call("LRANGE", list, -#ids - 32, -1)
  for _, id in ipairs(tail) do
    if wanted[id] then
      wanted[id] = nil
      found[id] = true
    else
      left[#left + 1] = id
    end
  end
  redis.call("LTRIM", list, 0, -#tail - 1)
  if #left > 0 then
    redis.call("RPUSH", list, unpack(left))
  end
  return found
end
