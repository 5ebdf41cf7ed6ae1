-- Record in an entry's history that a scheduler has enqueued a task.
--
-- KEYS
--   history     zset
-- ARGV
--   at_s        int    when, Unix seconds
--   event       bytes  encoded SchedulerEnqueueEvent
--   max_events  int    most events to keep
--   ttl_s       int    TTL of the history from now, seconds
-- RETURNS
--   1
-- SOURCE
--   protocol 3.20 (asynq v0.26.0 internal/rdb/rdb.go recordSchedulerEnqueueEventCmd); asynq keeps
--   histories forever (D49)

redis.call("ZREMRANGEBYRANK", history, 0, -max_events)
redis.call("ZADD", history, at_s, event)
redis.call("EXPIRE", history, ttl_s)
return 1
