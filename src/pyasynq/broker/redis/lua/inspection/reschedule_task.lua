-- Change the time of a delayed task.
--
-- KEYS
--   source  zset  scheduled or retry
-- PRIMARY source
-- ARGV
--   id      str   task id
--   at_s    int   when it is due, Unix seconds
-- RETURNS
--   1 rescheduled, 0 not there
-- SOURCE
--   asynq v0.26.0 has no such script

if not redis.call("ZSCORE", source, id) then
  return 0
end
redis.call("ZADD", source, at_s, id)
return 1
