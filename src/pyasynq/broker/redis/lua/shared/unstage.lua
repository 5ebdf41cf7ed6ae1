-- Put the tasks of aggregation sets back into their groups.
--
-- NEEDS group_prefix groups aggregation_sets move_lowest
-- GIVES unstage

-- Put up to most tasks of a set back into its group with their scores, and register the group. Remove
-- a name that is not that of a set from aggregation_sets. Return the number of tasks, or Redis' error
-- if the group's key has a wrong type.
local function unstage(set, most)
  local group = string.match(set, "^(.+):[^:]*$") or ""
  local name = string.sub(group, #group_prefix + 1)
  local size = redis.pcall("ZCARD", set)
  local is_set = type(size) == "number" and size > 0
  if not is_set or name == "" or string.sub(group, 1, #group_prefix) ~= group_prefix then
    redis.call("ZREM", aggregation_sets, set)
    return 0
  end
  local there = redis.pcall("ZCARD", group)
  if type(there) == "table" then
    return there
  end
  local count = move_lowest(set, group, most)
  redis.call("SADD", groups, name)
  if redis.call("EXISTS", set) == 0 then
    redis.call("ZREM", aggregation_sets, set)
  end
  return count
end
