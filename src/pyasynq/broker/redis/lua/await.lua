-- Read a task whose result somebody waits for; while it is not over, ask to be told when it is.
--
-- KEYS
--   task  hash
-- RETURNS
--   nil if there is none; else message, state, result or nil
-- SOURCE
--   asynq v0.26.0 has none; the extra field of the hash is none of its business

local fields = redis.call("HMGET", task, "msg", "state", "result")
if not fields[1] then
  return false
end
if fields[2] ~= "completed" and fields[2] ~= "archived" then
  redis.call("HSET", task, "awaited", "1")
end
return fields
