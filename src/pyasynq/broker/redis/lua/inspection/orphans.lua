-- Delete what no container names: tasks, and locks whose task is gone.
--
-- USES locks
-- KEYS
--   pending           list
--   active            list
--   aggregation_sets  zset
-- ARGV
--   prefix            str   start of the keys of this queue
-- EACH
--   key               str   key of a task or a lock
--   id                str   id of the task; empty for a lock
-- RETURNS
--   keys deleted
-- SOURCE
--   improves on asynq v0.26.0, where they stay (D20, D23)

local elsewhere = {
  pending = redis.call("LLEN", pending) > 0,
  active = redis.call("LLEN", active) > 0,
  aggregating = redis.call("ZCARD", aggregation_sets) > 0,
}

-- Whether a container may name the task; lists are not searched, only seen to be empty.
local function is_held(key, id)
  local fields = redis.pcall("HMGET", key, "state", "group")
  local state, group = fields[1], fields[2]
  if not state then
    return false
  end
  if state == "pending" or state == "active" then
    return elsewhere[state]
  end
  local set = prefix .. (state == "aggregating" and "g:" .. (group or "") or state)
  return elsewhere[state] or redis.pcall("ZSCORE", set, id)
end

local deleted = 0
for i = 1, #each, stride do
  local key, id = each[i], each[i + 1]
  if id == "" then
    local holder = redis.pcall("GET", key)
    if type(holder) ~= "string" or redis.call("EXISTS", prefix .. "t:" .. holder) == 0 then
      deleted = deleted + redis.call("UNLINK", key)
    end
  elseif not is_held(key, id) then
    unlock(redis.pcall("HGET", key, "unique_key"), id)
    deleted = deleted + redis.call("UNLINK", key)
  end
end
return deleted
