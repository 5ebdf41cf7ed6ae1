-- Give running tasks without a lease one that is over, so that they are recovered.
--
-- Every transition writes active and lease together; only a script that failed half-way leaves an
-- id in one of them.
--
-- USES clock
-- KEYS
--   active       list
--   lease        zset
-- PRIMARY lease
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   start        int   rank to look from, 0 is the right end
--   limit        int   ids to look at
--   ended_s      int   how long the lease is to be over, seconds
-- RETURNS
--   ids looked at, ids repaired
-- SOURCE
--   improves on asynq v0.26.0, where such a task stays for ever (D24, D25)

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
