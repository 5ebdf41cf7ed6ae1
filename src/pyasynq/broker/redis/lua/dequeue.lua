-- Take tasks from a queue.
--
-- USES clock held
-- KEYS
--   pending      list
--   active       list
--   lease        zset
--   paused       string
-- ARGV
--   task_prefix  str    start of the keys of this queue's tasks
--   count        int    most tasks to take
--   owner        str    token of this taking
--   lease_s      float  length of the lease, seconds
-- RETURNS
--   paused (1 or 0), ids looked at, then id and message of each task taken, next to run first
-- SOURCE
--   protocol 3.6 (asynq v0.26.0 internal/rdb/rdb.go dequeueCmd); drops ids without a task, which
--   there block the queue for ever (D25)

if redis.call("EXISTS", paused) == 1 then
  return { 1, 0 }
end
local ids = redis.call("LRANGE", pending, -count, -1)
if #ids == 0 then
  return { 0, 0 }
end
redis.call("LLEN", active)
local lease_ends = seconds_ahead(lease_s)
local reply, taken, members = { 0, #ids }, {}, {}
for i = #ids, 1, -1 do
  local id = ids[i]
  local message = redis.pcall("HGET", task_prefix .. id, "msg")
  if type(message) == "string" then
    taken[#taken + 1] = id
    members[#members + 1] = lease_ends
    members[#members + 1] = id
    reply[#reply + 1] = id
    reply[#reply + 1] = message
  end
end
redis.call("ZCARD", lease)
redis.call("LTRIM", pending, 0, -#ids - 1)
if #taken > 0 then
  redis.call("LPUSH", active, unpack(taken))
  redis.call("ZADD", lease, unpack(members))
  local holder = stamp(owner, lease_ends)
  for _, id in ipairs(taken) do
    local key = task_prefix .. id
    redis.call("HSET", key, "state", "active", "owner", holder)
    redis.call("HDEL", key, "pending_since", "result")
  end
end
return reply
