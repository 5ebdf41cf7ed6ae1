-- Remember pauses for longer, if there are any, and delete those that are over.
--
-- USES clock read_pause write_pause
-- KEYS
--   pauses    hash
-- PRIMARY pauses
-- EACH
--   entry_id  str   an entry that some scheduler has
--   ttl_s     int   least time for which its pause is remembered, seconds
-- RETURNS
--   1
-- SOURCE
--   none: asynq cannot pause an entry

local fields = redis.call("HGETALL", pauses)
local found = {}
for i = 1, #fields, 2 do
  if read_pause(fields[i + 1]) then
    found[fields[i]] = fields[i + 1]
  else
    redis.call("HDEL", pauses, fields[i])
  end
end
for i = 1, #each, stride do
  local resumed, ends = read_pause(found[each[i]])
  if resumed and ends < now_s + each[i + 1] then
    write_pause(each[i], resumed, now_s + each[i + 1])
  end
end
return 1
