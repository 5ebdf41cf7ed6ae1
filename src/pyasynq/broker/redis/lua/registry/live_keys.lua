-- List the keys in an index that have not expired, and remove the expired ones.
--
-- USES clock
-- KEYS
--   index  zset
-- RETURNS
--   the keys
-- SOURCE
--   protocol 3.18 (asynq v0.26.0 internal/rdb/inspect.go listServerKeysCmd, listWorkersCmd)

redis.call("ZREMRANGEBYSCORE", index, "-inf", now_s - 1)
return redis.call("ZRANGEBYSCORE", index, now_s, "+inf")
