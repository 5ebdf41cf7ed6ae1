-- Pause a queue, so that no worker takes its tasks.
--
-- KEYS
--   scheduled  zset
--   paused     string
-- PRIMARY scheduled
-- ARGV
--   now_s      int     present time, Unix seconds
-- RETURNS
--   1 paused, 0 it was paused already
-- SOURCE
--   protocol 8.1 (asynq v0.26.0 internal/rdb/inspect.go Pause); works also while Redis is full

return redis.call("SET", paused, now_s, "NX") and 1 or 0
