-- Put the tasks of staged sets back into their groups.
--
-- NEEDS group_prefix groups aggregation_sets move_lowest
-- GIVES unstage

-- Return up to most tasks of a set to its group with their scores, and register the group. A name
-- that stands for no set is dropped from aggregation_sets. Returns how many, or Redis' error if the
-- group's key is of a wrong type.
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
