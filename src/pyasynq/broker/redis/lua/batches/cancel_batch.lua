-- Cancel a batch that runs: workers drop its members from now on, and nothing follows it. The letter with
-- which a flow begins its map may still be on its way; so that it changes nothing, the map begins here.
--
-- KEYS
--   batch   hash
-- PRIMARY batch
-- ARGV
--   times   int   for a map that its flow has begun, how often it was retried; else -1
-- RETURNS
--   1 cancelled, now or before, 0 the batch does not run, or does not count its members
-- SOURCE
--   none: asynq has no batches

local state, left, before = unpack(redis.call("HMGET", batch, "state", "left", "times"))
local begins = (state == "waiting" or state == "failed") and tonumber(times) > tonumber(before or -1)
if not left or not (state == "running" or begins) then
  return 0
end
if begins then
  redis.call("HSET", batch, "state", "running", "times", times)
end
redis.call("HSET", batch, "cancelled", 1)
return 1
