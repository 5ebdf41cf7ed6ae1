-- Record that a scheduler has enqueued a task.
--
-- KEYS
--   history  zset
-- ARGV
--   at_s     int    when, Unix seconds
--   event    bytes  encoded SchedulerEnqueueEvent
--   kept     int    most events kept
--   keep_s   int    life of the history from now, seconds
-- RETURNS
--   1
-- SOURCE
--   protocol 3.20 (asynq v0.26.0 internal/rdb/rdb.go recordSchedulerEnqueueEventCmd); there the
--   history stays for ever (D49)

redis.call("ZREMRANGEBYRANK", history, 0, -kept)
redis.call("ZADD", history, at_s, event)
redis.call("EXPIRE", history, keep_s)
return 1
