-- Telling those who wait for a task's result that it is over. It never breaks a transition.
--
-- NEEDS awaited done_prefix done_ttl_s
-- GIVES notify_waiters

-- Looked at once for all tasks of a call: where nobody waits, a task costs nothing more.
local anyone_waits = redis.call("EXISTS", awaited) == 1

local function notify_waiters(id)
  if anyone_waits and redis.pcall("ZREM", awaited, id) == 1 then
    redis.pcall("RPUSH", done_prefix .. id, "")
    redis.pcall("EXPIRE", done_prefix .. id, done_ttl_s)
  end
end
