-- Write the record of a server and those of its running tasks.
--
-- KEYS
--   server   string
--   workers  hash
--   details  string
-- ARGV
--   ttl_s    int     TTL of all keys, seconds
--   record   bytes   encoded ServerInfo
--   more     bytes   JSON of what the record has no field for, or empty
-- EACH
--   task_id  str     task id
--   worker   bytes   encoded WorkerInfo
-- RETURNS
--   1
-- SOURCE
--   protocol 3.18 (asynq v0.26.0 internal/rdb/rdb.go writeServerStateCmd)

redis.call("SET", server, record, "EX", ttl_s)
if more ~= "" then
  redis.call("SET", details, more, "EX", ttl_s)
end
redis.call("DEL", workers)
for i = 1, #each, stride do
  redis.call("HSET", workers, each[i], each[i + 1])
end
redis.call("EXPIRE", workers, ttl_s)
return 1
