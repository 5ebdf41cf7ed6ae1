-- Delete staged tasks of a batch, and at last its record.
--
-- USES locks
-- KEYS
--   batches      zset
--   batch        hash
--   staged       list
--   ended        string
--   failed       set
--   outputs      hash
-- PRIMARY batches
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   batch_id     str   id of the batch
--   limit        int   most tasks to delete
--   decided      int   1 to delete also what was to run, else 0
-- RETURNS
--   number of tasks that are left, or -1 if they are to run
-- SOURCE
--   none: asynq has no such tasks

local state = redis.call("HGET", batch, "state")
local open = { staging = true, waiting = true, discarded = true }
if decided == "0" and state and not open[state] then
  return -1
end
local tasks = redis.call("LRANGE", staged, -limit, -1)
for _, task in ipairs(tasks) do
  local id = cmsgpack.unpack(task)[1]
  unlock(redis.pcall("HGET", task_prefix .. id, "unique_key"), id)
  redis.call("DEL", task_prefix .. id)
end
redis.call("LTRIM", staged, 0, -#tasks - 1)
local left = redis.call("LLEN", staged)
if left == 0 then
  redis.call("DEL", batch, ended, failed, outputs)
  redis.call("ZREM", batches, batch_id)
elseif state then
  redis.call("HSET", batch, "state", "discarded")
end
return left
