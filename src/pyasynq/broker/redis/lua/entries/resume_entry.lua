-- Resume a paused entry of schedulers. When it was resumed is remembered as long as the pause would
-- have been, so that no scheduler makes up for the ticks before.
--
-- USES clock read_pause write_pause
-- KEYS
--   pauses    hash
-- PRIMARY pauses
-- ARGV
--   entry_id  str   the entry
-- RETURNS
--   1 resumed, 0 it was not paused
-- SOURCE
--   none: asynq cannot pause an entry

local resumed, ends = read_pause(redis.call("HGET", pauses, entry_id))
if resumed ~= "" then
  return 0
end
write_pause(entry_id, string.format("%d", now_s), ends)
return 1
