-- Change the message of a task that has not changed meanwhile; its unique lock goes with it.
--
-- KEYS
--   task      hash
-- ARGV
--   id        str    task id
--   state     str    state it is to be in
--   message   bytes  encoded TaskMessage it is to have
--   revised   bytes  the new one
--   lock      str    key of its unique lock, or empty
--   new_lock  str    key of the lock for the new payload, or empty
-- RETURNS
--   1 changed, 0 it has changed meanwhile, -1 another task holds the new lock
-- SOURCE
--   protocol 8.4 (asynq v0.26.0 internal/rdb/inspect.go updateTaskPayloadCmd); compares, and moves
--   the lock (D54)

local fields = redis.call("HMGET", task, "state", "msg")
if fields[1] ~= state or fields[2] ~= message then
  redis.call("HDEL", task, "")  -- a replica refuses: it may not know the change
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
