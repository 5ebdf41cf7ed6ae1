-- Delete completed tasks past their retention.
--
-- USES clock locks
-- KEYS
--   completed    zset
-- PRIMARY completed
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   limit        int   most tasks to delete
-- RETURNS
--   tasks deleted
-- SOURCE
--   protocol 3.16 (asynq v0.26.0 internal/rdb/rdb.go deleteExpiredCompletedTasksCmd)

local ids = redis.call("ZRANGEBYSCORE", completed, "-inf", now_s, "LIMIT", 0, limit)
for _, id in ipairs(ids) do
  redis.call("ZREM", completed, id)
  unlock(redis.pcall("HGET", task_prefix .. id, "unique_key"), id)
  redis.call("DEL", task_prefix .. id)
end
return #ids
