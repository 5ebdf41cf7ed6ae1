-- Close a queue that is to be removed: pause it, so that no worker takes a task from now on.
--
-- KEYS
--   pending    list
--   active     list
--   scheduled  zset
--   retry      zset
--   archived   zset
--   completed  zset
--   paused     string
-- PRIMARY scheduled
-- ARGV
--   force      int  1 closes it even if it holds tasks, as long as none is running
--   now_s      int  present time, Unix seconds
-- RETURNS
--   1 closed, 0 it holds tasks, -1 some are running
-- SOURCE
--   protocol 8.1 (asynq v0.26.0 internal/rdb/inspect.go removeQueueCmd, removeQueueForceCmd); looks
--   at completed tasks, too (D23)

local waiting = redis.call("LLEN", pending)
for _, key in ipairs({ scheduled, retry, archived, completed }) do
  waiting = waiting + redis.call("ZCARD", key)
end
if redis.call("LLEN", active) > 0 then
  return -1
end
if force ~= "1" and waiting > 0 then
  return 0
end
redis.call("SET", paused, now_s, "NX")
return 1
