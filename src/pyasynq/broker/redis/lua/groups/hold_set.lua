-- Move the end of an aggregation set, so that nobody puts it back while its tasks are combined.
--
-- USES clock
-- KEYS
--   aggregation_sets  zset
--   set               zset
-- PRIMARY aggregation_sets
-- ARGV
--   ends_in_s         int   time until others may put it back, seconds
-- RETURNS
--   1 held, 0 it was put back or combined
-- SOURCE
--   improves on asynq v0.26.0, where a set is always put back after 120 s (D19)

if not redis.call("ZSCORE", aggregation_sets, set) then
  return 0
end
redis.call("ZADD", aggregation_sets, "XX", now_s + ends_in_s, set)
return 1
