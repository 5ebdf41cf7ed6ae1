-- Take tasks from a queue.
--
-- USES clock seconds_ahead stamp to_whole read_run_history
-- KEYS
--   pending      list
--   active       list
--   lease        zset
--   paused       string
-- ARGV
--   task_prefix  str     start of the keys of this queue's tasks
--   count        int     most tasks to take
--   max_bytes    int     stop once the messages have this number of bytes
--   owner        str     owner token of this dequeue
--   lease_s      float   length of the lease, seconds
-- RETURNS
--   paused (1 or 0), ids found (fewer than count if the queue has no more), ids dropped, a list with
--   index, crashes, seconds unknown and retries at that time of each task with a run history, for how
--   long the first task was pending (microseconds, or -1), then id and message of each task taken,
--   next to run first; index 0 is the first of these
-- SOURCE
--   protocol 3.6 (asynq v0.26.0 internal/rdb/rdb.go dequeueCmd); drops ids without a task, which
--   block the queue forever in asynq (D25), and ids that come twice

if redis.call("EXISTS", paused) == 1 then
  redis.call("ZREM", lease, "")  -- a replica refuses this write; its pause may be old
  return { 1, 0, 0, {}, -1 }
end
local ids = redis.call("LRANGE", pending, -count, -1)
if #ids == 0 then
  redis.call("ZREM", lease, "")  -- a replica refuses this write; no worker could block on a replica
  return { 0, 0, 0, {}, -1 }
end
redis.call("LLEN", active)
-- Redis writes a number as text for each command that gets it.
local lease_ends = string.format("%d", seconds_ahead(lease_s))
local histories = {}
local reply, taken, leases = { 0, #ids, 0, histories, -1 }, {}, {}
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
    leases[#leases + 1] = lease_ends
    leases[#leases + 1] = id
    reply[#reply + 1] = id
    reply[#reply + 1] = message
  end
end
reply[3] = seen - #taken
redis.call("ZCARD", lease)
redis.call("LTRIM", pending, 0, -seen - 1)
if #taken > 0 then
  redis.call("LPUSH", active, unpack(taken))
  redis.call("ZADD", lease, unpack(leases))
  local holder = stamp(owner, lease_ends)
  local since_ns = tonumber(redis.call("HGET", task_prefix .. taken[1], "pending_since") or nil)
  if since_ns then
    local now_us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
    reply[5] = math.max(0, math.floor(now_us - since_ns / 1000))
  end
  for n, id in ipairs(taken) do
    local key = task_prefix .. id
    if redis.call("HSET", key, "state", "active", "owner", holder) == 0 then
      read_run_history(histories, n - 1, key, owner)
    end
    redis.call("HDEL", key, "pending_since", "result")
  end
end
return reply
