-- Delete the tasks of one sorted set whose last error contains a text, in upper or lower case.
--
-- USES locks last_error
-- KEYS
--   container    zset
-- PRIMARY container
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   queue        str   the queue
--   start        int   rank of the first task
--   limit        int   most tasks to look at
--   max_bytes    int   stop once messages have more bytes
--   text         str   the text, in lower case
-- RETURNS
--   number of tasks that were looked at, and of those that were deleted

local found, looked_at = find_errors()
if #found > 0 then
  redis.call("ZREM", container, unpack(found))
end
for _, id in ipairs(found) do
  local key = task_prefix .. id
  unlock(redis.pcall("HGET", key, "unique_key"), id)
  redis.call("UNLINK", key)
end
return {looked_at, #found}
