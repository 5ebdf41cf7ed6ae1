-- Write a part of a scheduler's entries; the last part replaces all entries written before.
--
-- KEYS
--   entries  list   the entries that readers see
--   coming   list   the parts written so far
-- ARGV
--   ttl_s    int    TTL of the lists, whole seconds: with a fraction Go's own script fails (D50)
--   first    int    1 if this is the first part
--   final    int    1 if this is the last part
-- EACH
--   record   bytes  encoded SchedulerEntry
-- RETURNS
--   1
-- SOURCE
--   protocol 3.20 (asynq v0.26.0 internal/rdb/rdb.go writeSchedulerEntriesCmd); asynq writes all at
--   once

if first == "1" then
  redis.call("DEL", coming)
end
for i = 1, #each, stride do
  redis.call("LPUSH", coming, each[i])
end
redis.call("EXPIRE", coming, ttl_s)
if final == "1" then
  redis.call("DEL", entries)
  if redis.call("EXISTS", coming) == 1 then
    redis.call("RENAME", coming, entries)
  end
end
return 1
