-- Release a token of a semaphore.
--
-- KEYS
--   semaphore  zset
-- ARGV
--   holder     str   id of the holder
-- RETURNS
--   1 released, 0 no longer held
-- SOURCE
--   protocol 11.2 (asynq x/rate Semaphore.Release)

return redis.call("ZREM", semaphore, holder)
