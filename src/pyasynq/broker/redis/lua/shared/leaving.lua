-- Taking tasks by hand out of where they wait. Returns a table of those that were there.
--
-- NEEDS source state nearer take_from_set
-- GIVES take_out

-- Out of a list. One task is looked for everywhere, which takes time with the list's length (D4);
-- several are taken only from the right end, where the caller saw them a moment ago.
local function take_from_list(ids)
  local found = {}
  if #ids == 1 then
    found[ids[1]] = redis.call("LREM", source, nearer, ids[1]) == 1
    return found
  end
  local wanted = {}
  for _, id in ipairs(ids) do
    wanted[id] = true
  end
  local tail = redis.call("LRANGE", source, -#ids - 32, -1)
  local left = {}
  for _, id in ipairs(tail) do
    if wanted[id] then
      found[id] = true
    else
      left[#left + 1] = id
    end
  end
  redis.call("LTRIM", source, 0, -#tail - 1)
  if #left > 0 then
    redis.call("RPUSH", source, unpack(left))
  end
  return found
end

local function take_out(ids)
  if state == "pending" then
    return take_from_list(ids)
  end
  return take_from_set(ids)
end
