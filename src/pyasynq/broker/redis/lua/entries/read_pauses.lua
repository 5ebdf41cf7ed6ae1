-- Return the entries that are or were paused.
--
-- USES clock read_pause
-- KEYS
--   pauses  hash
-- PRIMARY pauses
-- RETURNS
--   for each: its id, and when it was resumed (Unix seconds), or an empty text if it is paused
-- SOURCE
--   none: asynq cannot pause an entry

local answers = {}
local fields = redis.call("HGETALL", pauses)
for i = 1, #fields, 2 do
  local resumed = read_pause(fields[i + 1])
  if resumed then
    answers[#answers + 1] = fields[i]
    answers[#answers + 1] = resumed
  end
end
return answers
