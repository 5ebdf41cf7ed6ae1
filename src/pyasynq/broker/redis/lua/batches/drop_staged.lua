-- Delete members of a cancelled batch that were not released yet, and count them.
--
-- USES clock now_ns locks containers placement post receive clear_run_history release_members count_members
-- KEYS
--   batches        zset
--   pending        list
--   scheduled      zset
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
--   limit          int    most members to delete
-- RETURNS
--   number of members that this has taken from the staged ones
-- SOURCE
--   none: asynq has no batches

local batch, staged = read_batch(batch_id), staged_prefix .. batch_id
if not batch or not batch.cancelled or batch.state ~= "running" then
  return 0
end
local place, finish = placement()
local tasks = redis.call("LRANGE", staged, -limit, -1)
redis.call("LTRIM", staged, 0, -#tasks - 1)
for _, task in ipairs(tasks) do
  local id, _, _, again = unpack(cmsgpack.unpack(task), 1, 4)
  local member = tonumber(string.match(id, "(%d+)$"))
  if again then
    redis.call("SETBIT", ended_prefix .. batch_id, member, 0)
    receivers.batch(place, batch_id, 0, member, "f", "")
  else
    unlock(redis.pcall("HGET", task_prefix .. id, "unique_key"), id)
    redis.call("DEL", task_prefix .. id)
    receivers.batch(place, batch_id, 0, member, "x", "")
  end
end
batch.changed, batch.releases = true, nil  -- it may have no members left
count_members(place)
finish()
return #tasks
