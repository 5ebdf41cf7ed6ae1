-- Measure the memory of a container and of a sample of its tasks.
--
-- KEYS
--   container    list or zset
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   listed       int   1 if the container is a list
--   samples      int   most tasks to measure
-- RETURNS
--   number of tasks, tasks measured, their bytes, bytes of the container itself
-- SOURCE
--   protocol 8.2 (asynq v0.26.0 internal/rdb/inspect.go memoryUsageCmd)

local ids = redis.call(listed == "1" and "LRANGE" or "ZRANGE", container, 0, samples - 1)
local bytes = 0
for _, id in ipairs(ids) do
  bytes = bytes + (redis.call("MEMORY", "USAGE", task_prefix .. id) or 0)
end
return {
  redis.call(listed == "1" and "LLEN" or "ZCARD", container),
  #ids,
  bytes,
  redis.call("MEMORY", "USAGE", container) or 0,
}
