-- Telling those who wait for a task's result that it is over. It never breaks a transition.
--
-- NEEDS task_prefix
-- GIVES tell

-- Looked at once for all tasks of a call: where nobody waits, a task costs nothing more.
local queue_prefix = string.sub(task_prefix, 1, -3)
local anyone_waits = redis.call("EXISTS", queue_prefix .. "awaited") == 1

local function tell(id)
  if anyone_waits and redis.pcall("ZREM", queue_prefix .. "awaited", id) == 1 then
    redis.pcall("RPUSH", queue_prefix .. "done:" .. id, "")
    redis.pcall("EXPIRE", queue_prefix .. "done:" .. id, 60)
  end
end
