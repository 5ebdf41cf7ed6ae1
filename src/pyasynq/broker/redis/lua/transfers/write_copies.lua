-- Store tasks of another broker in the container of their state, with their unique locks.
--
-- USES clock now_ns
-- KEYS
--   container    list or zset
--   groups       set
-- ARGV
--   task_prefix  str    start of the keys of this queue's tasks
--   state        str    their state
-- EACH
--   id           str    task id
--   message      bytes  encoded TaskMessage
--   at_s         int    score, Unix seconds; unused if the container is a list
--   group        str    the group that the container holds or that the task joins when due, or false
--   lock         str    key of the unique lock, or false
--   lock_ms      int    TTL of the lock, milliseconds, or false
--   result       bytes  its result, or false
--   attempts     array  fields with the records of its failed tries, and these records
-- RETURNS
--   for each: 1 stored, 0 the id is taken, -1 the lock is held
-- SOURCE
--   none: asynq moves no tasks between servers

local is_list = state == "pending"
redis.call(is_list and "LLEN" or "ZCARD", container)
redis.call("SCARD", groups)

-- Store the task whose values begin at index i of each, and return the answer.
local function store(i)
  local id, message, _, group, lock, lock_ms, result, attempts = unpack(each, i, i + 7)
  local key = task_prefix .. id
  if redis.call("EXISTS", key) == 1 then
    return 0
  end
  if lock and not redis.call("SET", lock, id, "NX", "PX", lock_ms) then
    return -1
  end
  redis.call("HSET", key, "msg", message, "state", state)
  if lock then
    redis.call("HSET", key, "unique_key", lock)
  end
  if group then
    redis.call("HSET", key, "group", group)
  end
  if result then
    redis.call("HSET", key, "result", result)
  end
  if #attempts > 0 then
    redis.call("HSET", key, unpack(attempts))
  end
  if is_list then
    redis.call("HSET", key, "pending_since", now_ns)
  end
  return 1
end

local answers, ids, scored = {}, {}, {}
for i = 1, #each, stride do
  local answer = store(i)
  answers[#answers + 1] = answer
  if answer == 1 then
    ids[#ids + 1] = each[i]
    scored[#scored + 1] = each[i + 2]
    scored[#scored + 1] = each[i]
  end
end
if #ids == 0 then
  redis.call("DEL", task_prefix)  -- a replica refuses this write; the tasks that it has may be old
elseif is_list then
  redis.call("LPUSH", container, unpack(ids))
else
  redis.call("ZADD", container, unpack(scored))
end
if #ids > 0 and state == "aggregating" then
  redis.call("SADD", groups, each[4])
end
return answers
