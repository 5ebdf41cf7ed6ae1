-- Notify clients that wait for a task's result. An error here stops no transition.
--
-- NEEDS awaited done_prefix done_ttl_s
-- GIVES notify_waiters

-- Checked once for all tasks of a call, so that tasks cost nothing more if no client waits.
local anyone_waits = redis.call("EXISTS", awaited) == 1

local function notify_waiters(id)
  if anyone_waits and redis.pcall("ZREM", awaited, id) == 1 then
    redis.pcall("RPUSH", done_prefix .. id, "")
    redis.pcall("EXPIRE", done_prefix .. id, done_ttl_s)
  end
end
