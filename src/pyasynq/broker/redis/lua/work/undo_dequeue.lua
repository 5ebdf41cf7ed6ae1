-- Put back the tasks of one dequeue whose answer was lost.
--
-- USES clock now_ns stamp owns release_owner
-- KEYS
--   pending      list
--   active       list
--   lease        zset
-- PRIMARY lease
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   owner        str   owner token of the dequeue
--   start        int   rank of the first id to read; 0 is the left end, with the latest ids
--   limit        int   most ids to read
-- RETURNS
--   ids read, tasks put back
-- SOURCE
--   improves on asynq v0.26.0, where such tasks wait for their lease to end and spend a retry

redis.call("LLEN", pending)
local ids = redis.call("LRANGE", active, start, start + limit - 1)
if #ids == 0 then
  return { 0, 0 }
end
local mine = {}
local ends = redis.call("ZMSCORE", lease, unpack(ids))
for n, id in ipairs(ids) do
  if owns(id, owner, ends[n]) then
    mine[#mine + 1] = id
  end
end
for _, id in ipairs(mine) do  -- latest first, so that the one taken first runs first again
  redis.call("LREM", active, 1, id)
  redis.call("ZREM", lease, id)
  redis.call("RPUSH", pending, id)
  redis.call("HSET", task_prefix .. id, "state", "pending", "pending_since", now_ns)
  release_owner(task_prefix .. id)
end
return { #ids, #mine }
