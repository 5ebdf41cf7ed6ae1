-- Note that somebody has looked after a batch.
--
-- USES clock
-- KEYS
--   batches   zset
-- PRIMARY batches
-- ARGV
--   batch_id  str   id of the batch
--   after_s   int   seconds from now on for which nobody needs to look
-- RETURNS
--   1
-- SOURCE
--   none: asynq has no batches

redis.call("ZADD", batches, "XX", now_s + after_s, batch_id)
return 1
