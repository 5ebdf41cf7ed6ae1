-- Set the oldest tasks of a ripe group aside, to be combined.
--
-- USES clock ready move_lowest
-- KEYS
--   groups            set
--   aggregation_sets  zset
--   group             zset
--   staged            zset  new
-- PRIMARY aggregation_sets
-- ARGV
--   name              str   the group's name
--   limit             int   most tasks to set aside
--   ends_in_s         int   time until others may put them back, seconds
--   grace_s           int   quiet time after which a group is ripe, seconds
--   max_delay_s       int   age at which it is ripe, seconds; 0 for any
--   max_size          int   size at which it is ripe; 0 for any
-- RETURNS
--   tasks set aside
-- SOURCE
--   protocol 3.14 (asynq v0.26.0 internal/rdb/rdb.go aggregationCheckCmd); there a set of any size
--   is moved at once (D44), and a grace period may end a second early

redis.call("SCARD", groups)
redis.call("ZCARD", aggregation_sets)
redis.call("ZCARD", group)
local at_s = ready_at(group)
if not at_s or at_s > now_s then
  return 0
end
local count = move_lowest(group, staged, limit)
if redis.call("EXISTS", group) == 0 then
  redis.call("SREM", groups, name)
end
redis.call("ZADD", aggregation_sets, now_s + ends_in_s, staged)
return count
