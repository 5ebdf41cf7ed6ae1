-- Decide that the staged tasks of a batch are to run.
--
-- USES clock
-- KEYS
--   batches   zset
--   batch     hash
-- ARGV
--   batch_id  str   id of the batch
--   total     int   tasks that must be staged
--   kept_s    int   seconds for which the decision is kept once all tasks are released
-- RETURNS
--   1 decided, now or before, 0 the batch does not have these tasks
-- SOURCE
--   none: asynq has no such tasks

local state, staged = unpack(redis.call("HMGET", batch, "state", "staged"))
if state ~= "staging" or staged ~= total then
  redis.call("ZREM", batches, "")  -- a replica refuses this write; its record may be old
  return state == "running" and 1 or 0
end
redis.call("ZADD", batches, now_s, batch_id)
redis.call("HSET", batch, "state", "running", "kept_s", kept_s)
return 1
