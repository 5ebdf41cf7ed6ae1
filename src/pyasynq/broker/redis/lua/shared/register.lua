-- Registering groups and staged sets that nothing names.
--
-- NEEDS group_prefix groups aggregation_sets now_s
-- GIVES register

local uuid = ":%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

-- Register what stands under a key of a group; whether it was not before.
local function register(key)
  local name = string.sub(key, #group_prefix + 1)
  if redis.call("SISMEMBER", groups, name) == 1 or redis.call("ZSCORE", aggregation_sets, key) then
    return false
  end
  if string.find(name, uuid) then
    redis.call("ZADD", aggregation_sets, now_s, key)  -- a staged set: to be put back
  else
    redis.call("SADD", groups, name)
  end
  return true
end
