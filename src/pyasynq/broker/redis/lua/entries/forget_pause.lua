-- Let the pause of a removed entry end soon. A scheduler that still has the entry extends it again.
--
-- USES clock read_pause write_pause
-- KEYS
--   pauses    hash
-- PRIMARY pauses
-- ARGV
--   entry_id  str   the entry
--   ttl_s     int   most time for which the pause is remembered, seconds
-- RETURNS
--   1
-- SOURCE
--   none: asynq cannot pause an entry

local resumed, ends = read_pause(redis.call("HGET", pauses, entry_id))
if resumed and ends > now_s + ttl_s then
  write_pause(entry_id, resumed, now_s + ttl_s)
end
return 1
