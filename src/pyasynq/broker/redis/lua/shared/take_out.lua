-- Taking tasks by hand out of where they wait. Returns a table of those that were there.
--
-- NEEDS source state nearer take_from_set take_from_tail
-- GIVES take_out

-- One task is looked for in all of a list, which takes time with its length (D4); several only at the
-- right end, where the caller saw them a moment ago.
local function take_out(ids)
  if state ~= "pending" then
    return take_from_set(ids)
  end
  if #ids ~= 1 then
    return take_from_tail(source, ids)
  end
  return {[ids[1]] = redis.call("LREM", source, nearer, ids[1]) == 1}
end
