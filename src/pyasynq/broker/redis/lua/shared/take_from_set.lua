-- Take tasks out of a sorted set for an operator.
--
-- NEEDS source group groups
-- GIVES take_from_set

-- Take the ids out and return a table of the scores of those that were there. If the set is a group
-- and has no more tasks, remove its name from groups.
local function take_from_set(ids)
  local found = {}
  local scores = #ids > 0 and redis.call("ZMSCORE", source, unpack(ids))
  for n, id in ipairs(ids) do
    found[id] = scores[n]
  end
  if #ids > 0 then
    redis.call("ZREM", source, unpack(ids))  -- also if none is there, so that a replica refuses
  end
  if group ~= "" and redis.call("ZCARD", source) == 0 then
    redis.call("SREM", groups, group)
  end
  return found
end
