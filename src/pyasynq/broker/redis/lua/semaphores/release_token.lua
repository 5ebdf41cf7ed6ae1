-- Give a token of a semaphore back.
--
-- KEYS
--   semaphore  zset
-- ARGV
--   holder     str   who holds the token
-- RETURNS
--   1 given back, 0 no longer held
-- SOURCE
--   protocol 11.2 (asynq x/rate Semaphore.Release)

return redis.call("ZREM", semaphore, holder)
