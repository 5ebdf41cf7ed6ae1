-- Put an aggregation set that nobody holds any more back into its group.
--
-- USES clock move_lowest unstage
-- KEYS
--   groups            set
--   aggregation_sets  zset
-- PRIMARY aggregation_sets
-- ARGV
--   group_prefix      str   start of the keys of this queue's groups
--   limit             int   most tasks to put back
--   rest_s            int   if a set cannot be put back, time until the next attempt, seconds
-- RETURNS
--   tasks put back; -1 if there was no such set; the set's key if its group's key has a wrong type
-- SOURCE
--   protocol 3.14 (asynq v0.26.0 internal/rdb/rdb.go reclaimStateAggregationSetsCmd); registers the
--   group, which asynq does not (D16)

redis.call("SCARD", groups)
local set = redis.call("ZRANGEBYSCORE", aggregation_sets, "-inf", now_s, "LIMIT", 0, 1)[1]
if not set then
  return -1
end
local count = unstage(set, limit)
if type(count) == "table" then
  redis.call("ZADD", aggregation_sets, now_s + rest_s, set)  -- else each call would find this set
  return set
end
return count
