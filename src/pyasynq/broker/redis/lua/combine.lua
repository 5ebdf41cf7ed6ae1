-- Create the task that a staged set becomes, and delete the set with its tasks.
--
-- USES clock locks created
-- KEYS
--   pending           list
--   scheduled         zset
--   groups            set
--   aggregation_sets  zset
--   staged            zset
-- ARGV
--   task_prefix       str    start of the keys of this queue's tasks
--   group_prefix      str    start of the keys of this queue's groups
--   id                str    task id
--   message           bytes  encoded TaskMessage
--   lock              str    key of the unique lock, or empty
--   ttl_s             int    life of the lock, seconds
--   state             str    pending, scheduled or aggregating
--   at_s              int    if it is scheduled: when to run, Unix seconds
--   group             str    group to join, or empty
-- RETURNS
--   1 combined, 0 the id is taken, -1 the lock is held, -2 the set was put back or combined
-- SOURCE
--   protocol 3.14 (asynq v0.26.0 internal/rdb/rdb.go deleteAggregationSetCmd); in one step (D19),
--   with the locks of the tasks released (D10)

redis.call("LLEN", pending)
redis.call("ZCARD", scheduled)
redis.call("SCARD", groups)
redis.call("ZCARD", group_prefix .. group)
local holder = lock ~= "" and redis.call("GET", lock)
redis.call("ZREM", aggregation_sets, "")  -- a replica refuses: it may not know the set
if not redis.call("ZSCORE", aggregation_sets, staged) then
  return -2
end
if redis.call("EXISTS", task_prefix .. id) == 1 then
  return 0
end
if holder and not redis.call("ZSCORE", staged, holder) then
  return -1
end
local members = redis.call("ZRANGE", staged, 0, -1)
redis.call("ZREM", aggregation_sets, staged)
redis.call("DEL", staged)
for n, member in ipairs(members) do
  members[n] = task_prefix .. member
  unlock(redis.pcall("HGET", members[n], "unique_key"), member)
end
for n = 1, #members, 128 do
  redis.call("DEL", unpack(members, n, math.min(n + 127, #members)))
end
if holder then
  redis.call("DEL", lock)
end
create(id, message, state, lock, ttl_s)
if group ~= "" then
  redis.call("HSET", task_prefix .. id, "group", group)
end
if state == "pending" then
  redis.call("HSET", task_prefix .. id, "pending_since", now_ns)
  redis.call("LPUSH", pending, id)
elseif state == "scheduled" then
  redis.call("ZADD", scheduled, at_s, id)
else
  redis.call("ZADD", group_prefix .. group, now_s, id)
  redis.call("SADD", groups, group)
end
return 1
