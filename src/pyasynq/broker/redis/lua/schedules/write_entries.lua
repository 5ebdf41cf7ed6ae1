-- Show the entries of a scheduler: gather a part of them, and with the last part let all of them
-- take the place of those shown before.
--
-- KEYS
--   entries  list   what is shown
--   coming   list   what was gathered so far
-- ARGV
--   ttl_s    int    TTL of the lists, whole seconds: with a fraction Go's own script fails (D50)
--   first    int    1 if this is the first part
--   final    int    1 if this is the last part
-- EACH
--   record   bytes  encoded SchedulerEntry
-- RETURNS
--   1
-- SOURCE
--   protocol 3.20 (asynq v0.26.0 internal/rdb/rdb.go writeSchedulerEntriesCmd); there all go at once

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
