-- Put the tasks of staged sets back into their groups.

-- Return up to most tasks of a set to its group with their scores, and register the group. A name
-- that stands for no set is dropped from aggregation_sets.
local function give_back(set, most)
  local group = string.match(set, "^(.+):[^:]*$") or ""
  local name = string.sub(group, #group_prefix + 1)
  local members = redis.pcall("ZRANGE", set, 0, most - 1, "WITHSCORES")
  if #members == 0 or name == "" or string.sub(group, 1, #group_prefix) ~= group_prefix then
    redis.call("ZREM", aggregation_sets, set)
    return 0
  end
  redis.call("ZCARD", group)
  redis.call("ZREMRANGEBYRANK", set, 0, #members / 2 - 1)
  for i = 1, #members, 2 do
    redis.call("ZADD", group, members[i + 1], members[i])
  end
  redis.call("SADD", groups, name)
  if redis.call("EXISTS", set) == 0 then
    redis.call("ZREM", aggregation_sets, set)
  end
  return #members / 2
end
