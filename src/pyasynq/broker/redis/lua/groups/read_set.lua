-- Read tasks of an aggregation set.
--
-- KEYS
--   aggregation_sets  zset
--   set               zset
-- PRIMARY aggregation_sets
-- ARGV
--   task_prefix       str   start of the keys of this queue's tasks
--   start             int   rank of the first task to read
--   limit             int   most tasks to read
--   max_bytes         int   stop once the messages have this number of bytes
-- RETURNS
--   1 if there may be more to read, else 0, then for each task: id, message, failures; or nil if the
--   set was put back or combined. Ids without a task are removed from the set
-- SOURCE
--   protocol 3.14 (asynq v0.26.0 internal/rdb/rdb.go readAggregationSetCmd); leaves out a task that
--   cannot be read, which in asynq makes the set fail forever (D27)

if not redis.call("ZSCORE", aggregation_sets, set) then
  return false
end
local ids = redis.call("ZRANGE", set, start, start + limit - 1)
local answer, dropped = { #ids == tonumber(limit) and 1 or 0 }, {}
local left = tonumber(max_bytes)
for _, id in ipairs(ids) do
  if left <= 0 then
    answer[1] = 1
    break
  end
  local task = redis.pcall("HMGET", task_prefix .. id, "msg", "aggregation_failures")
  if task[1] then
    left = left - #task[1]
    answer[#answer + 1] = id
    answer[#answer + 1] = task[1]
    answer[#answer + 1] = task[2] or "0"
  else
    dropped[#dropped + 1] = id
  end
end
if #dropped > 0 then
  redis.call("ZREM", set, unpack(dropped))
end
return answer
