-- Take ids out of a list.
--
-- GIVES take_from_tail

-- Take ids out of the tail of a list, and return a table of those that were there. The oldest ids are
-- at the tail, and tasks that end together have mostly begun together, so a few commands take out many.
-- Only as many are read as are wanted: for the others an LREM costs less than more of the list.
local function take_from_tail(list, ids)
  if #ids == 0 then
    return {}
  end
  local wanted = {}
  for _, id in ipairs(ids) do
    wanted[id] = true
  end
  local found, left = {}, {}
  local tail = redis.call("LRANGE", list, -#ids, -1)
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
