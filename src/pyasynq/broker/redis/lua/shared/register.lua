-- Register groups and aggregation sets whose names are missing in the queue's lists.
--
-- NEEDS group_prefix groups aggregation_sets now_s
-- GIVES register

local uuid = ":%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

-- Register the group or aggregation set with this key; return whether it was not registered before.
local function register(key)
  local name = string.sub(key, #group_prefix + 1)
  if redis.call("SISMEMBER", groups, name) == 1 or redis.call("ZSCORE", aggregation_sets, key) then
    return false
  end
  if string.find(name, uuid) then
    redis.call("ZADD", aggregation_sets, now_s, key)  -- a set, to be put back at once
  else
    redis.call("SADD", groups, name)
  end
  return true
end
