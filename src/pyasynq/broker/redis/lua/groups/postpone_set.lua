-- Count a failed attempt to combine an aggregation set, and let it be put back after a wait.
--
-- The count is in the hashes of the tasks, so it outlives the set. If only some tasks caused the
-- failure, it is counted for those only.
--
-- USES clock
-- KEYS
--   aggregation_sets  zset
--   set               zset
-- PRIMARY aggregation_sets
-- ARGV
--   task_prefix       str   start of the keys of this queue's tasks
--   wait_s            int   time until it may be put back, seconds
-- EACH
--   id                str   a task of the set that failed
-- RETURNS
--   1 postponed, 0 it was put back or combined
-- SOURCE
--   improves on asynq v0.26.0, which tries forever (D19)

redis.call("ZCARD", set)
if not redis.call("ZSCORE", aggregation_sets, set) then
  return 0
end
for _, id in ipairs(each) do
  if redis.pcall("HEXISTS", task_prefix .. id, "msg") == 1 then
    redis.pcall("HINCRBY", task_prefix .. id, "aggregation_failures", 1)
  end
end
redis.call("ZADD", aggregation_sets, "XX", now_s + wait_s, set)
return 1
