-- Make queues known to inspectors.
--
-- KEYS
--   queues  set
-- EACH
--   name    str  name of a queue
-- RETURNS
--   1
-- SOURCE
--   protocol 3.1 (asynq v0.26.0 internal/rdb/rdb.go, SADD before each enqueueing)

for _, name in ipairs(each) do
  redis.call("SADD", queues, name)
end
return 1
