-- Show the entries of a scheduler.
--
-- KEYS
--   entries  list
-- ARGV
--   ttl_s    int    life of the list, whole seconds: with a fraction Go's own script fails (D50)
-- EACH
--   record   bytes  encoded SchedulerEntry
-- RETURNS
--   1
-- SOURCE
--   protocol 3.20 (asynq v0.26.0 internal/rdb/rdb.go writeSchedulerEntriesCmd)

redis.call("DEL", entries)
for i = 1, #each, stride do
  redis.call("LPUSH", entries, each[i])
end
redis.call("EXPIRE", entries, ttl_s)
return 1
