-- Read tasks of a staged set.
--
-- KEYS
--   aggregation_sets  zset
--   staged            zset
-- ARGV
--   task_prefix       str  start of the keys of this queue's tasks
--   start             int  rank to read from
--   limit             int  most tasks to read
-- RETURNS
--   ids dropped because no task stood behind them, then for each task: id, message, failures; or
--   nil if the set was put back or combined
-- SOURCE
--   protocol 3.14 (asynq v0.26.0 internal/rdb/rdb.go readAggregationSetCmd); a task that cannot be
--   read, which there fails the set for good, is left out (D27)

if not redis.call("ZSCORE", aggregation_sets, staged) then
  return false
end
local answer, dropped = { 0 }, {}
for _, id in ipairs(redis.call("ZRANGE", staged, start, start + limit - 1)) do
  local task = redis.pcall("HMGET", task_prefix .. id, "msg", "aggregation_failures")
  if task[1] then
    answer[#answer + 1] = id
    answer[#answer + 1] = task[1]
    answer[#answer + 1] = task[2] or "0"
  else
    dropped[#dropped + 1] = id
  end
end
if #dropped > 0 then
  redis.call("ZREM", staged, unpack(dropped))
end
answer[1] = #dropped
return answer
