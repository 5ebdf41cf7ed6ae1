-- Take waiting tasks out of their container for an operator.
--
-- NEEDS source state nearer take_from_set take_from_tail
-- GIVES take_out

-- Take the ids out and return a table of those that were there. A single id is searched in the whole
-- list, which takes longer for a longer list (D4). Several are searched only near the tail, where the
-- caller has just seen them.
local function take_out(ids)
  if state ~= "pending" then
    return take_from_set(ids)
  end
  if #ids ~= 1 then
    return take_from_tail(source, ids, 32)
  end
  return {[ids[1]] = redis.call("LREM", source, nearer, ids[1]) == 1}
end
