-- Put a staged set back into its group that nobody holds any more.
--
-- USES clock moved returned
-- KEYS
--   groups            set
--   aggregation_sets  zset
-- ARGV
--   group_prefix      str  start of the keys of this queue's groups
--   limit             int  most tasks to put back
-- RETURNS
--   tasks put back, -1 if there was no such set
-- SOURCE
--   protocol 3.14 (asynq v0.26.0 internal/rdb/rdb.go reclaimStateAggregationSetsCmd); registers the
--   group, which there is forgotten (D16)

redis.call("SCARD", groups)
local set = redis.call("ZRANGEBYSCORE", aggregation_sets, "-inf", now_s, "LIMIT", 0, 1)[1]
if not set then
  return -1
end
return give_back(set, limit)
