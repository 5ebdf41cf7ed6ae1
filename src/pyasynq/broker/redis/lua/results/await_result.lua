-- Read a task; if it has not ended, register a client that waits for its end.
--
-- USES clock
-- KEYS
--   task     hash
--   awaited  zset
--   done     list  notice of the end, maybe left from an earlier run
-- ARGV
--   id       str   task id
--   ttl_s    int   time for which the client stays registered, seconds
-- RETURNS
--   nil if there is no task; else message, state, result or nil
-- SOURCE
--   asynq v0.26.0 has no such script

local fields = redis.call("HMGET", task, "msg", "state", "result")
if not fields[1] then
  redis.call("ZREM", awaited, "")  -- a replica refuses this write; it may not have the task yet
  return false
end
if fields[2] ~= "completed" and fields[2] ~= "archived" then
  redis.call("DEL", done)
  redis.call("ZREMRANGEBYSCORE", awaited, "-inf", now_s)
  redis.pcall("ZADD", awaited, now_s + ttl_s, id)  -- pcall, because a full Redis may refuse
  redis.pcall("EXPIRE", awaited, ttl_s)
end
return fields
