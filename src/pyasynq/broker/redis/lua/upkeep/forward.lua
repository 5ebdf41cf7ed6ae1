-- Move due tasks to pending, or into their groups.
--
-- USES clock now_ns
-- KEYS
--   source        zset  scheduled or retry
--   pending       list
--   groups        set
-- PRIMARY source
-- ARGV
--   task_prefix   str   start of the keys of this queue's tasks
--   group_prefix  str   start of the keys of this queue's groups
--   limit         int   most tasks to move
-- RETURNS
--   tasks moved, milliseconds until the next one is due (0 if it is due now, -1 if none waits)
-- SOURCE
--   protocol 3.13 (asynq v0.26.0 internal/rdb/rdb.go forwardCmd); registers the group, which asynq
--   does not (D15); drops ids without a task (D25)

redis.call("LLEN", pending)
redis.call("SCARD", groups)
local ids = redis.call("ZRANGEBYSCORE", source, "-inf", now_s, "LIMIT", 0, limit)
local tasks = {}
for n, id in ipairs(ids) do
  tasks[n] = redis.pcall("HMGET", task_prefix .. id, "msg", "group")
  if tasks[n][2] then
    redis.call("ZCARD", group_prefix .. tasks[n][2])
  end
end
if #ids > 0 then
  redis.call("ZREM", source, unpack(ids))
end
for n, id in ipairs(ids) do
  local key, fields = task_prefix .. id, tasks[n]
  if fields[1] and fields[2] and fields[2] ~= "" then
    redis.call("ZADD", group_prefix .. fields[2], now_s, id)
    redis.call("SADD", groups, fields[2])
    redis.call("HSET", key, "state", "aggregating")
  elseif fields[1] then
    redis.call("LPUSH", pending, id)
    redis.call("HSET", key, "state", "pending", "pending_since", now_ns)
  end
end
local next_due = redis.call("ZRANGE", source, 0, 0, "WITHSCORES")
if #next_due == 0 then
  return { #ids, -1 }
end
return { #ids, math.max(0, math.ceil(tonumber(next_due[2]) * 1000 - tonumber(now_ns) / 1000000)) }
