-- Put staged tasks of a batch into their containers, once that is decided.
--
-- USES clock containers
-- KEYS
--   batches       zset
--   batch         hash
--   staged        list
--   pending       list
--   scheduled     zset
--   groups        set
-- PRIMARY batches
-- ARGV
--   group_prefix  str   start of the keys of this queue's groups
--   batch_id      str   id of the batch
--   limit         int   most tasks to release
-- RETURNS
--   number of tasks that were released
-- SOURCE
--   none: asynq has no such tasks

local state, kept_s, left = unpack(redis.call("HMGET", batch, "state", "kept_s", "left"))
if state ~= "running" then
  return 0
end
local tasks = redis.call("LRANGE", staged, -limit, -1)
local add, fill = containers()
redis.call("LLEN", pending)
redis.call("ZCARD", scheduled)
redis.call("SCARD", groups)
for n = #tasks, 1, -1 do
  local id, at_s, group = unpack(cmsgpack.unpack(tasks[n]), 1, 3)
  if group and not at_s then
    redis.call("ZCARD", group_prefix .. group)
  end
  add(id, at_s, group)
end
redis.call("LTRIM", staged, 0, -#tasks - 1)
fill()
if left or redis.call("LLEN", staged) > 0 then
  redis.call("ZADD", batches, now_s, batch_id)
elseif tonumber(kept_s) > 0 then
  redis.call("EXPIRE", batch, kept_s)
  redis.call("ZADD", batches, now_s + kept_s, batch_id)
else
  redis.call("DEL", batch)
  redis.call("ZREM", batches, batch_id)
end
return #tasks
