-- Pause an entry of schedulers.
--
-- USES clock read_pause write_pause
-- KEYS
--   pauses    hash
-- PRIMARY pauses
-- ARGV
--   entry_id  str   the entry
--   ttl_s     int   time for which the pause is remembered, seconds
-- RETURNS
--   1 paused, 0 it was paused already
-- SOURCE
--   none: asynq cannot pause an entry

local resumed = read_pause(redis.call("HGET", pauses, entry_id))
if resumed == "" then
  return 0
end
write_pause(entry_id, "", now_s + ttl_s)
return 1
