-- Delete members of a cancelled batch that wait, and count them. Those in a long list of pending tasks
-- stay: to find each there takes long, and the worker that takes one drops it.
--
-- USES clock now_ns locks containers placement post receive clear_run_history release_members count_members
-- KEYS
--   batches        zset
--   pending        list
--   scheduled      zset
--   retry          zset
--   groups         set
--   archive        zset
--   mail           zset
--   mail_bodies    hash
-- PRIMARY batches
-- ARGV
--   task_prefix    str    start of the keys of this queue's tasks
--   group_prefix   str    start of the keys of this queue's groups
--   batch_prefix   str    start of the keys of this queue's batches
--   staged_prefix  str    start of the keys of their staged tasks
--   ended_prefix   str    start of the keys of the members that have ended
--   failed_prefix  str    start of the keys of the members that have failed
--   outputs_prefix str    start of the keys of the results of members
--   batch_id       str    id of the batch
--   first          int    number of the first member to look at; a multiple of eight
--   limit          int    most members to look at; a multiple of eight
-- RETURNS
--   the number of the next member to look at, or -1 if there is none; then the ids of those that run
-- SOURCE
--   none: asynq has no batches

local SHORT = 1000  -- pending tasks in which one is found quickly

local batch = read_batch(batch_id)
local numbers = tonumber(redis.call("HGET", batch_prefix .. batch_id, "numbers") or 0)
if not batch or not batch.cancelled or batch.state ~= "running" then
  return { -1 }
end
local start = tonumber(first)
local stop = math.min(start + limit, numbers)
local bytes = redis.call("GETRANGE", ended_prefix .. batch_id, start / 8, (start + limit) / 8 - 1)
local is_short = redis.call("LLEN", pending) <= SHORT
local zsets = { scheduled = scheduled, retry = retry }
local place, finish = placement()
local reply = { stop < numbers and stop or -1 }

local function has_ended(member)
  local byte = string.byte(bytes, math.floor((member - start) / 8) + 1) or 0
  return math.floor(byte / 2 ^ (7 - member % 8)) % 2 == 1
end

local function take(id, state)
  if state == "pending" then
    return is_short and redis.call("LREM", pending, -1, id) == 1
  end
  return zsets[state] and redis.call("ZREM", zsets[state], id) == 1
end

for member = start, stop - 1 do
  local id = batch_id .. ":" .. member
  local state = not has_ended(member) and redis.pcall("HGET", task_prefix .. id, "state")
  if state == "active" then
    reply[#reply + 1] = id
  elseif state and take(id, state) then
    unlock(redis.pcall("HGET", task_prefix .. id, "unique_key"), id)
    redis.call("DEL", task_prefix .. id)
    receivers.batch(place, batch_id, 0, member, "x", "")
  end
end
batch.releases = nil
count_members(place)
finish()
return reply
