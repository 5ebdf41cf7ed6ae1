-- Telling those who wait for a task's result that it is over. It never breaks a transition.

local function tell(id)
  local key = string.sub(task_prefix, 1, -3) .. "done:" .. id
  redis.pcall("RPUSH", key, "")
  redis.pcall("EXPIRE", key, 60)
end
