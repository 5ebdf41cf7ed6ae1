-- Create tasks and put them into their containers. A guard makes sure that its task is created once
-- only, even if several callers try or a caller dies: the script writes the guard's data and the
-- task in one step.
--
-- USES clock now_ns locks containers placement
-- KEYS
--   pending       list
-- ARGV
--   task_prefix   str    start of the keys of this queue's tasks
-- EACH
--   id            str    task id
--   message       bytes  encoded TaskMessage
--   lock          str    key of the unique lock, or false
--   ttl_s         int    TTL of the lock, seconds, or false
--   at_s          int    when to run, Unix seconds, or false
--   group         str    group to join, at once or when due, or false
--   guard         array  name of a guard below and its arguments, or false
-- MORE
--   scheduled     zset
--   groups        set
--   group_prefix  str    start of the keys of this queue's groups
-- RETURNS
--   for each: 1 created, 0 the id is taken, -1 the lock is held, -2 the guard does not allow it, or
--   Redis' error if a key has a wrong type; the answers for a tick are described at its guard
-- SOURCE
--   protocol 3.3 to 3.5 (asynq v0.26.0 internal/rdb/rdb.go enqueueCmd, enqueueUniqueCmd, scheduleCmd,
--   scheduleUniqueCmd, addToGroupCmd, addToGroupUniqueCmd); checks the id before it takes the lock:
--   asynq leaves the lock behind if the id is taken (D7)

local answers, wrote = {}, false

-- Without MORE, each task is only an id and a message, and all tasks are ready to run. Most calls are
-- like this. They skip the functions below, because defining those is a fifth of the work.
if not scheduled then
  local ready = {}
  redis.call("LLEN", pending)
  for i = 1, #each, 2 do
    local id = each[i]
    local key = task_prefix .. id
    local is_new = redis.call("EXISTS", key) == 0
    if is_new then
      redis.call("HSET", key, "msg", each[i + 1], "state", "pending", "pending_since", now_ns)
      ready[#ready + 1] = id
    end
    answers[#answers + 1] = is_new and 1 or 0
  end
  if #ready > 0 then
    redis.call("LPUSH", pending, unpack(ready))
    wrote = true
  end
else
  local place, finish = placement()

  -- Create the task whose values begin at index i of each, and return the answer.
  local function create(i, set)
    local id, message, lock, ttl_s, at_s, group = unpack(each, i, i + 5)
    return place(id, message, lock, ttl_s, at_s, group, set)
  end

  -- The guards: each creates the task at index i if its condition holds, and writes its own data.
  local guards = {}

  -- Create the task of an outbox's row once, even if the row is sent again. The receipt outlives the
  -- task, because the task may be done and deleted before the row is.
  function guards.receipt(i, receipt, ttl_s)
    if redis.call("EXISTS", receipt) == 1 then
      return -2
    end
    local answer = create(i)
    if answer == 1 then
      redis.call("SET", receipt, 1, "EX", ttl_s)
    end
    return answer
  end

  -- Create the task of one tick of an entry, and make that the entry's last tick. (Protocol 7.2; in
  -- asynq every scheduler enqueues every tick, D47.) A tick may come early_s before its time by the
  -- Redis clock, so a scheduler whose clock is fast enqueues nothing. A last tick that is more than
  -- credible_s ahead is ignored, because all other schedulers would wait until then.
  --
  -- Returns the answer, or -2 if another scheduler has set another last tick, or -3 if the tick is
  -- in the future; the entry's last tick; the Redis clock, Unix milliseconds; and the last tick that
  -- was ignored, or -1.
  function guards.tick(i, last, known_s, tick_s, ttl_s, early_s, credible_s)
    local before = redis.pcall("GET", last)
    if type(before) == "table" then
      return before.err
    end
    before = tonumber(before)
    local now_ms = now_s * 1000 + math.floor(tonumber(clock[2]) / 1000)
    local rejected = -1
    if before and before > now_s + credible_s then
      before, rejected = nil, before
    end
    if before and before ~= known_s then
      return {-2, before, now_ms, rejected}
    end
    if tick_s > now_s + early_s then
      return {-3, known_s, now_ms, rejected}
    end
    local answer = create(i)
    if type(answer) == "string" then
      return answer
    end
    redis.call("SET", last, tick_s, "EX", ttl_s)
    return {answer, tick_s, now_ms, rejected}
  end

  -- Create the task that replaces an aggregation set, and delete the set, its tasks and their locks.
  -- (Protocol 3.14, asynq v0.26.0 deleteAggregationSetCmd; here in one step, D19, and with the locks
  -- released, D10.)
  function guards.replaces(i, set, aggregation_sets)
    for _, key in ipairs({ aggregation_sets, set }) do
      local size = redis.pcall("ZCARD", key)
      if type(size) == "table" then
        return size.err
      end
    end
    redis.call("ZREM", aggregation_sets, "")  -- after this write a full Redis does not stop the script
    if not redis.call("ZSCORE", aggregation_sets, set) then
      return -2
    end
    local answer = create(i, set)
    if answer ~= 1 then
      return answer
    end
    local parts = redis.call("ZRANGE", set, 0, -1)
    redis.call("ZREM", aggregation_sets, set)
    redis.call("DEL", set)
    for n, id in ipairs(parts) do
      parts[n] = task_prefix .. id
      unlock(redis.pcall("HGET", parts[n], "unique_key"), id)
    end
    for n = 1, #parts, 128 do
      redis.call("DEL", unpack(parts, n, math.min(n + 127, #parts)))
    end
    return 1
  end

  for i = 1, #each, stride do
    local guard = each[i + 6]
    if guard then
      answers[#answers + 1] = guards[guard[1]](i, unpack(guard, 2))
    else
      answers[#answers + 1] = create(i)
    end
  end
  wrote = finish()
end

if not wrote then
  -- A replica refuses this write; the tasks that it found may be deleted by now.
  redis.call("DEL", task_prefix)
end
return answers
