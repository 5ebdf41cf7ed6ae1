-- Cancel a batch that runs: workers drop its members from now on, and nothing follows it.
--
-- KEYS
--   batch   hash
-- RETURNS
--   1 cancelled, now or before, 0 the batch does not run, or does not count its members
-- SOURCE
--   none: asynq has no batches

local state, left = unpack(redis.call("HMGET", batch, "state", "left"))
if state ~= "running" or not left then
  redis.call("HDEL", batch, "")  -- a replica refuses this write; its record may be old
  return 0
end
redis.call("HSET", batch, "cancelled", 1)
return 1
