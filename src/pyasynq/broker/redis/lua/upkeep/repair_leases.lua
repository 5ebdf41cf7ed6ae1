-- Give active tasks without a lease one that is over, so that a recoverer takes them.
--
-- Every transition writes active and lease together, so an id is in only one of them only after a
-- script has failed half-way.
--
-- USES clock
-- KEYS
--   active       list
--   lease        zset
-- PRIMARY lease
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   start        int   rank of the first id to read; 0 is the right end
--   limit        int   most ids to read
--   ended_s      int   time by which the new ends are in the past, seconds
-- RETURNS
--   ids read, ids repaired
-- SOURCE
--   improves on asynq v0.26.0, where such a task stays forever (D24, D25)

local ids = redis.call("LRANGE", active, -start - limit, -start - 1)
if #ids == 0 then
  return { 0, 0 }
end
local repaired = 0
local ends = redis.call("ZMSCORE", lease, unpack(ids))
for n, id in ipairs(ids) do
  if not ends[n] then
    repaired = repaired + 1
    if redis.pcall("HEXISTS", task_prefix .. id, "msg") == 1 then
      redis.call("ZADD", lease, now_s - ended_s, id)
    else
      redis.call("LREM", active, 0, id)
    end
  end
end
return { #ids, repaired }
