-- Take tasks from a queue.
--
-- USES clock seconds_ahead stamp to_whole recall
-- KEYS
--   pending      list
--   active       list
--   lease        zset
--   paused       string
-- ARGV
--   task_prefix  str     start of the keys of this queue's tasks
--   count        int     most tasks to take
--   max_bytes    int     bytes of messages after which no more are taken
--   owner        str     token of this taking
--   lease_s      float   length of the lease, seconds
-- RETURNS
--   paused (1 or 0), ids found (fewer than count: the queue has no more), ids dropped, a list of
--   place, crashes, seconds unknown and retries by then for each task that has crashed its worker or
--   found none that knows it, then id and message of each task taken, next to run first; the first of
--   them is in place 0
-- SOURCE
--   protocol 3.6 (asynq v0.26.0 internal/rdb/rdb.go dequeueCmd); drops ids without a task, which
--   there block the queue for ever (D25), and an id that is there twice

if redis.call("EXISTS", paused) == 1 then
  redis.call("ZREM", lease, "")  -- a replica refuses: its queue may be paused no more
  return { 1, 0, 0, {} }
end
local ids = redis.call("LRANGE", pending, -count, -1)
if #ids == 0 then
  redis.call("ZREM", lease, "")  -- a replica refuses: nobody can wait there
  return { 0, 0, 0, {} }
end
redis.call("LLEN", active)
local lease_ends = seconds_ahead(lease_s)
local past = {}
local reply, taken, members = { 0, #ids, 0, past }, {}, {}
local left, seen, known = tonumber(max_bytes), 0, {}
for i = #ids, 1, -1 do
  if left <= 0 then
    break
  end
  local id = ids[i]
  local message = redis.pcall("HGET", task_prefix .. id, "msg")
  seen = seen + 1
  if type(message) == "string" and not known[id] then
    known[id] = true
    left = left - #message
    taken[#taken + 1] = id
    members[#members + 1] = lease_ends
    members[#members + 1] = id
    reply[#reply + 1] = id
    reply[#reply + 1] = message
  end
end
reply[3] = seen - #taken
redis.call("ZCARD", lease)
redis.call("LTRIM", pending, 0, -seen - 1)
if #taken > 0 then
  redis.call("LPUSH", active, unpack(taken))
  redis.call("ZADD", lease, unpack(members))
  local holder = stamp(owner, lease_ends)
  for n, id in ipairs(taken) do
    local key = task_prefix .. id
    if redis.call("HSET", key, "state", "active", "owner", holder) == 0 then
      recall(past, n - 1, key, owner)
    end
    redis.call("HDEL", key, "pending_since", "result")
  end
end
return reply
