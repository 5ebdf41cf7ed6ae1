-- List the keys in an index that have not expired, and remove those that expired some time ago.
--
-- USES clock
-- KEYS
--   index   zset
-- ARGV
--   kept_s  int   time for which expired keys stay in the index, seconds
-- RETURNS
--   the keys
-- SOURCE
--   protocol 3.18 (asynq v0.26.0 internal/rdb/inspect.go listServerKeysCmd, listWorkersCmd)

redis.call("ZREMRANGEBYSCORE", index, "-inf", now_s - 1 - tonumber(kept_s))
return redis.call("ZRANGEBYSCORE", index, now_s, "+inf")
