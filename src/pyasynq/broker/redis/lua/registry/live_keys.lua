-- Name the servers or workers that have shown themselves, and forget those that died.
--
-- USES clock
-- KEYS
--   index  zset
-- RETURNS
--   the keys of the living
-- SOURCE
--   protocol 3.18 (asynq v0.26.0 internal/rdb/inspect.go listServerKeysCmd, listWorkersCmd)

redis.call("ZREMRANGEBYSCORE", index, "-inf", now_s - 1)
return redis.call("ZRANGEBYSCORE", index, now_s, "+inf")
