-- Reserve numbers for members that are added to a batch. Until they are, they count as ended.
--
-- KEYS
--   batch   hash
--   ended   string
-- ARGV
--   count   int   numbers to reserve
-- RETURNS
--   the first of the numbers, or -1 if the batch takes no members
-- SOURCE
--   none: asynq has no batches

local names = { "state", "numbers", "left", "cancelled" }
local state, numbers, left, cancelled = unpack(redis.call("HMGET", batch, unpack(names)))
if state ~= "running" or not left or cancelled then
  redis.call("HDEL", batch, "")  -- a replica refuses this write; its record may be old
  return -1
end
redis.call("STRLEN", ended)
redis.call("HINCRBY", batch, "numbers", count)
for number = numbers, numbers + count - 1 do
  redis.call("SETBIT", ended, number, 1)
end
return tonumber(numbers)
