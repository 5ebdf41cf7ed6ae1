-- Put an aggregation set back into its group.
--
-- USES move_lowest unstage
-- KEYS
--   groups            set
--   aggregation_sets  zset
--   set               zset
-- PRIMARY aggregation_sets
-- ARGV
--   group_prefix      str   start of the keys of this queue's groups
--   limit             int   most tasks to put back
-- RETURNS
--   tasks put back
-- SOURCE
--   improves on asynq v0.26.0, which puts a set back only when its time is over

redis.call("SCARD", groups)
if not redis.call("ZSCORE", aggregation_sets, set) then
  return 0
end
return unstage(set, limit)
