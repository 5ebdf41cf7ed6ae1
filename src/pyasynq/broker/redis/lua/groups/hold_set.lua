-- Keep a staged set from being put back, while somebody combines it.
--
-- USES clock
-- KEYS
--   aggregation_sets  zset
--   staged            zset
-- PRIMARY aggregation_sets
-- ARGV
--   ends_in_s         int   time until others may put it back, seconds
-- RETURNS
--   1 held, 0 it was put back or combined
-- SOURCE
--   improves on asynq v0.26.0, where a set is put back after 120 s whatever happens (D19)

if not redis.call("ZSCORE", aggregation_sets, staged) then
  return 0
end
redis.call("ZADD", aggregation_sets, "XX", now_s + ends_in_s, staged)
return 1
