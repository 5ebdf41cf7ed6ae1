-- Name a server, its workers or a scheduler among the living, and forget those that died.
--
-- USES clock seconds_ahead
-- KEYS
--   index  zset
-- ARGV
--   name   str   key of what is shown
--   ttl_s  int   time for which it lives, seconds
-- RETURNS
--   1
-- SOURCE
--   protocol 3.18 and 3.20 (asynq v0.26.0 internal/rdb/rdb.go WriteServerState); there the machine's
--   own clock counts, and a fast one makes other servers vanish from the list

redis.call("ZREMRANGEBYSCORE", index, "-inf", now_s - 1)
redis.call("ZADD", index, seconds_ahead(tonumber(ttl_s)), name)
return 1
