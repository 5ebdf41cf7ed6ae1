-- Look for members of a batch that have ended without a report: Go's workers send none, nor do
-- operators.
--
-- USES clock now_ns containers placement post receive clear_run_history release_members count_members
-- KEYS
--   batches        zset
--   batch          hash
--   ended          string
--   pending        list
--   scheduled      zset
--   groups         set
--   mail           zset
--   mail_bodies    hash
--   archive        zset
-- PRIMARY batches
-- ARGV
--   task_prefix    str    start of the keys of this queue's tasks
--   group_prefix   str    start of the keys of this queue's groups
--   batch_prefix   str    start of the keys of this queue's batches
--   ended_prefix   str    start of the keys of the members that have ended
--   failed_prefix  str    start of the keys of the members that have failed
--   outputs_prefix str    start of the keys of the results of members
--   staged_prefix  str    start of the keys of the staged tasks
--   batch_id       str    id of the batch
--   limit          int    most members to look at; a multiple of eight
-- RETURNS
--   number of members that were counted, and 1 if more members follow, else 0
-- SOURCE
--   none: asynq has no batches

local state, numbers, swept = unpack(redis.call("HMGET", batch, "state", "numbers", "swept"))
if state ~= "running" or not numbers then
  return { 0, 0 }
end
local first = tonumber(swept or 0)
local stop = math.min(first + limit, tonumber(numbers))
local bytes = redis.call("GETRANGE", ended, first / 8, (first + limit) / 8 - 1)
local place, finish = placement()
local noticed = 0
for member = first, stop - 1 do
  local byte = string.byte(bytes, math.floor((member - first) / 8) + 1) or 0
  if math.floor(byte / 2 ^ (7 - member % 8)) % 2 == 0 then
    local found = redis.pcall("HGET", task_prefix .. batch_id .. ":" .. member, "state")
    if found == "completed" then
      noticed = noticed + receivers.batch(place, batch_id, 0, member, "s", "")
    elseif not found or found == "archived" then
      noticed = noticed + receivers.batch(place, batch_id, 0, member, "f", "")
    end
  end
end
count_members(place)
finish()
local is_over = stop >= tonumber(numbers)
if redis.call("HGET", batch, "state") == "running" then
  redis.call("HSET", batch, "swept", is_over and 0 or stop)
  if is_over then
    redis.call("ZADD", batches, now_s, batch_id)
  end
end
return { noticed, is_over and 0 or 1 }
