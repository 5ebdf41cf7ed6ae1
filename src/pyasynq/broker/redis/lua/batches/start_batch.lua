-- Decide that the staged tasks of a batch are to run, and that they are counted when they end. Those of
-- a map are held until its flow begins it.
--
-- USES clock now_ns containers placement post receive clear_run_history release_members count_members
-- KEYS
--   batches        zset
--   batch          hash
--   pending        list
--   scheduled      zset
--   groups         set
--   mail           zset
--   mail_bodies    hash
--   archive        zset
-- ARGV
--   task_prefix    str    start of the keys of this queue's tasks
--   group_prefix   str    start of the keys of this queue's groups
--   batch_prefix   str    start of the keys of this queue's batches
--   ended_prefix   str    start of the keys of the members that have ended
--   failed_prefix  str    start of the keys of the members that have failed
--   outputs_prefix str    start of the keys of the results of members
--   staged_prefix  str    start of the keys of the staged tasks
--   batch_id       str    id of the batch
--   total          int    tasks that must be staged
--   is_held        int    1 if they are the members of a map, else 0
--   record         array  names and values of more fields of the record, in MessagePack
-- RETURNS
--   1 decided, now or before, 0 the batch does not have these tasks
-- SOURCE
--   none: asynq has no batches

local state, staged, left = unpack(redis.call("HMGET", batch, "state", "staged", "left"))
if left then
  redis.call("ZREM", batches, "")  -- a replica refuses this write; its record may be old
  return 1
end
local count = tonumber(total)
if (state or "staging") ~= "staging" or tonumber(staged or 0) ~= count then
  redis.call("ZREM", batches, "")
  return 0
end
redis.call("ZADD", batches, now_s, batch_id)
state = is_held == "1" and "waiting" or "running"
redis.call("HSET", batch, "state", state, "total", count, "left", count, "failed", 0)
redis.call("HSET", batch, "numbers", count, "made_s", now_s, unpack(cmsgpack.unpack(record)))
if count == 0 and state == "running" then
  local place, finish = placement()
  end_batch(place, batch_id, read_batch(batch_id))
  finish()
end
return 1
