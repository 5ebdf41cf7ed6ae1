-- Read entries of a scheduler.
--
-- KEYS
--   entries    list
-- ARGV
--   start      int   number of entries to skip
--   limit      int   most entries to read
--   max_bytes  int   stop once the entries have this number of bytes
-- RETURNS
--   encoded SchedulerEntries; none if there are no more
-- SOURCE
--   protocol 8.7 (asynq v0.26.0 internal/rdb/inspect.go ListSchedulerEntries); asynq reads all at once

local records, left = {}, tonumber(max_bytes)
for at = start, start + limit - 1 do
  local record = left > 0 and redis.call("LINDEX", entries, at)
  if not record then
    break
  end
  left = left - #record
  records[#records + 1] = record
end
return records
