-- Run the failed members of a batch that has ended again.
--
-- USES clock now_ns containers placement post receive clear_run_history release_members count_members
-- KEYS
--   batches        zset
--   pending        list
--   scheduled      zset
--   groups         set
--   archive        zset
--   mail           zset
--   mail_bodies    hash
-- PRIMARY batches
-- ARGV
--   task_prefix    str    start of the keys of this queue's tasks
--   group_prefix   str    start of the keys of this queue's groups
--   batch_prefix   str    start of the keys of this queue's batches
--   staged_prefix  str    start of the keys of their staged tasks
--   ended_prefix   str    start of the keys of the members that have ended
--   failed_prefix  str    start of the keys of the members that have failed
--   outputs_prefix str    start of the keys of the results of members
--   batch_id       str    id of the batch
-- RETURNS
--   1 they run again, 0 the batch is gone, has not failed, or is part of a flow
-- SOURCE
--   none: asynq has no batches

local batch = read_batch(batch_id)
if not batch or batch.state ~= "failed" then
  return 0
end
if redis.call("HEXISTS", batch_prefix .. batch_id, "parent") == 1 then
  return 0
end
batch.times = batch.times + 1
local place, finish = placement()
run_failed(batch_id, batch)
count_members(place)
finish()
return 1
