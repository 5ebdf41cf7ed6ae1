-- Telling those who wait for a task's result that it is over.

local function tell(id)
  local key = string.sub(task_prefix, 1, -3) .. "done:" .. id
  redis.call("RPUSH", key, "")
  redis.call("EXPIRE", key, 60)
end
