-- Put staged tasks of a batch into their containers, once that is decided.
--
-- USES clock now_ns containers placement post receive clear_run_history release_members count_members
-- KEYS
--   batches         zset
--   pending         list
--   scheduled       zset
--   groups          set
--   archive         zset
--   mail            zset
--   mail_bodies     hash
-- PRIMARY batches
-- ARGV
--   task_prefix     str   start of the keys of this queue's tasks
--   group_prefix    str   start of the keys of this queue's groups
--   batch_prefix    str   start of the keys of this queue's batches
--   staged_prefix   str   start of the keys of their staged tasks
--   ended_prefix    str   start of the keys of the members that have ended
--   failed_prefix   str   start of the keys of the members that have failed
--   outputs_prefix  str   start of the keys of the results of members
--   batch_id        str   id of the batch
--   limit           int   most tasks to release
-- RETURNS
--   number of tasks that were released
-- SOURCE
--   none: asynq has no such tasks

local key, staged = batch_prefix .. batch_id, staged_prefix .. batch_id
local state, kept_s = unpack(redis.call("HMGET", key, "state", "kept_s"))
if state ~= "running" then
  return 0
end
redis.call("LLEN", pending)
redis.call("ZCARD", scheduled)
redis.call("SCARD", groups)
local batch = read_batch(batch_id)
for _, task in ipairs(redis.call("LRANGE", staged, -limit, -1)) do
  local at_s, group = unpack(cmsgpack.unpack(task), 2, 3)
  if group and not at_s then
    redis.call("ZCARD", group_prefix .. group)
  end
end
local count = release_members(batch_id, tonumber(limit), batch)
if batch then
  local place, finish = placement()
  batch.changed, batch.releases = true, nil
  count_members(place)
  finish()
elseif redis.call("LLEN", staged) > 0 then
  redis.call("ZADD", batches, now_s, batch_id)
elseif tonumber(kept_s) > 0 then
  redis.call("EXPIRE", key, kept_s)
  redis.call("ZADD", batches, now_s + kept_s, batch_id)
else
  redis.call("DEL", key)
  redis.call("ZREM", batches, batch_id)
end
return count
