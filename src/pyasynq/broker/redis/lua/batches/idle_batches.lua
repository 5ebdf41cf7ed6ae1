-- Return the batches that nothing has changed for some time, the longest idle first.
--
-- USES clock
-- KEYS
--   batches        zset
-- PRIMARY batches
-- ARGV
--   batch_prefix   str   start of the keys of this queue's batches
--   staged_prefix  str   start of the keys of their staged tasks
--   idle_s         int   seconds since the last change; negative for batches that are over later
--   limit          int   most batches to return
-- RETURNS
--   for each: its id, the seconds since its last change, its state (gone without a record), its home,
--   the number of its staged tasks, 1 if it counts its members, else 0, and the place of the step of
--   a flow that it is, or empty; state and home are empty if a key has a wrong type
-- SOURCE
--   none: asynq has no such tasks

local found =
  redis.call("ZRANGEBYSCORE", batches, "-inf", now_s - idle_s, "WITHSCORES", "LIMIT", 0, limit)
local reply = {}
for n = 1, #found, 2 do
  local record = redis.pcall("HMGET", batch_prefix .. found[n], "state", "home", "left", "parent")
  local left = redis.pcall("LLEN", staged_prefix .. found[n])
  local is_broken = record.err or type(left) == "table"
  reply[#reply + 1] = found[n]
  reply[#reply + 1] = now_s - found[n + 1]
  reply[#reply + 1] = not is_broken and (record[1] or "gone") or ""
  reply[#reply + 1] = not is_broken and record[2] or ""
  reply[#reply + 1] = is_broken and 0 or left
  reply[#reply + 1] = not is_broken and record[3] and 1 or 0
  reply[#reply + 1] = not is_broken and record[4] or ""
end
return reply
