-- Move the oldest tasks of a ready group into a new aggregation set.
--
-- USES clock ready move_lowest
-- KEYS
--   groups            set
--   aggregation_sets  zset
--   group             zset
--   set               zset  the new set
-- PRIMARY aggregation_sets
-- ARGV
--   name              str   the group's name
--   limit             int   most tasks to move
--   ends_in_s         int   time until others may put them back, seconds
--   grace_s           int   time without a new task after which a group is ready, seconds
--   max_delay_s       int   age of the oldest task at which it is ready, seconds; 0 for no limit
--   max_size          int   number of tasks at which it is ready; 0 for no limit
-- RETURNS
--   tasks moved
-- SOURCE
--   protocol 3.14 (asynq v0.26.0 internal/rdb/rdb.go aggregationCheckCmd); asynq moves sets of any
--   size at once (D44), and its grace period may end a second early

redis.call("SCARD", groups)
redis.call("ZCARD", aggregation_sets)
redis.call("ZCARD", group)
local at_s = ready_at(group)
if not at_s or at_s > now_s then
  return 0
end
local count = move_lowest(group, set, limit)
if redis.call("EXISTS", group) == 0 then
  redis.call("SREM", groups, name)
end
redis.call("ZADD", aggregation_sets, now_s + ends_in_s, set)
return count
