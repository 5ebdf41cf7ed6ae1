-- Add the key of a record to an index of live servers or schedulers, and remove keys that expired
-- some time ago.
--
-- USES clock seconds_ahead
-- KEYS
--   index   zset
-- ARGV
--   name    str   key of the record
--   ttl_s   int   time after which it expires, seconds
--   kept_s  int   time for which expired keys stay in the index, seconds
-- RETURNS
--   1
-- SOURCE
--   protocol 3.18 and 3.20 (asynq v0.26.0 internal/rdb/rdb.go WriteServerState); asynq uses
--   the machine's own clock, and a fast one removes other servers from the list

redis.call("ZREMRANGEBYSCORE", index, "-inf", now_s - 1 - tonumber(kept_s))
redis.call("ZADD", index, seconds_ahead(tonumber(ttl_s)), name)
return 1
