-- Read a task whose result somebody waits for; while it is not over, ask to be told when it is.
--
-- USES clock
-- KEYS
--   task     hash
--   awaited  zset
--   done     list  word of an end, which may be that of an earlier run
-- ARGV
--   id       str   task id
--   ttl_s    int   how long it is told, seconds
-- RETURNS
--   nil if there is none; else message, state, result or nil
-- SOURCE
--   asynq v0.26.0 has none

local fields = redis.call("HMGET", task, "msg", "state", "result")
if not fields[1] then
  redis.call("ZREM", awaited, "")  -- a replica refuses: it may not know the task yet
  return false
end
if fields[2] ~= "completed" and fields[2] ~= "archived" then
  redis.call("DEL", done)
  redis.call("ZREMRANGEBYSCORE", awaited, "-inf", now_s)
  redis.pcall("ZADD", awaited, now_s + ttl_s, id)  -- a full Redis may refuse
  redis.pcall("EXPIRE", awaited, ttl_s)
end
return fields
