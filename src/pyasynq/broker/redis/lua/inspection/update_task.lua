-- Replace the message and the unique lock of a task, unless it has changed since it was read.
--
-- KEYS
--   task      hash
-- ARGV
--   id        str    task id
--   state     str    state in which the task was read
--   message   bytes  encoded TaskMessage that was read
--   revised   bytes  encoded TaskMessage that replaces it
--   lock      str    key of its unique lock, or empty
--   new_lock  str    key of the lock for the new payload, or empty
-- RETURNS
--   1 replaced, 0 the task has changed, -1 another task holds the new lock
-- SOURCE
--   protocol 8.4 (asynq v0.26.0 internal/rdb/inspect.go updateTaskPayloadCmd); compares state and
--   message, and moves the lock (D54)

local fields = redis.call("HMGET", task, "state", "msg")
if fields[1] ~= state or fields[2] ~= message then
  redis.call("HDEL", task, "")  -- a replica refuses this write; its task may be old
  return 0
end
if lock ~= new_lock and redis.call("GET", lock) == id then
  if redis.call("RENAMENX", lock, new_lock) == 0 then
    return -1
  end
end
redis.call("HSET", task, "msg", revised)
if new_lock ~= "" then
  redis.call("HSET", task, "unique_key", new_lock)
end
return 1
