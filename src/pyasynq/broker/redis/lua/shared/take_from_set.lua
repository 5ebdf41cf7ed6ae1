-- Taking tasks by hand out of a sorted set.
--
-- NEEDS source group groups
-- GIVES take_from_set

-- Return a table of the scores of those that were there. A group whose last task leaves is no longer
-- named in groups.
local function take_from_set(ids)
  local found = {}
  local scores = #ids > 0 and redis.call("ZMSCORE", source, unpack(ids))
  for n, id in ipairs(ids) do
    found[id] = scores[n]
  end
  if #ids > 0 then
    redis.call("ZREM", source, unpack(ids))  -- none of them there: a replica refuses all the same
  end
  if group ~= "" and redis.call("ZCARD", source) == 0 then
    redis.call("SREM", groups, group)
  end
  return found
end
