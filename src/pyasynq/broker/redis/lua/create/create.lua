-- Create tasks and put them where they wait. A task may have a guard, with which it is created once
-- only, whoever tries and wherever they die: what the guard writes and the task are written in one
-- step.
--
-- USES clock now_ns locks
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
--   group         str    group to join, when due, or false
--   guard         array  name of a guard below, and what it takes, or false
-- MORE
--   scheduled     zset
--   groups        set
--   group_prefix  str    start of the keys of this queue's groups
-- RETURNS
--   for each: 1 created, 0 the id is taken, -1 the lock is held, -2 the guard does not let it, or
--   Redis' error, for a key of a wrong type. What a tick is answered is named there
-- SOURCE
--   protocol 3.3 to 3.5 (asynq v0.26.0 internal/rdb/rdb.go enqueueCmd, enqueueUniqueCmd, scheduleCmd,
--   scheduleUniqueCmd, addToGroupCmd, addToGroupUniqueCmd); checks the id before the lock, which
--   there stays behind (D7)

local answers, ready, due, joined, wrote = {}, {}, {}, {}, false

-- Without MORE only id and message come for each task, and all are ready to run. That is what most
-- calls bring; what the others need is not even defined then, which would be a fifth of the work.
if not scheduled then
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
  wrote = #ready > 0
else
  local checked = {}

  -- Return Redis' error, as text, if a key is of a wrong type: a command that reads it says so.
  local function damage(command, key)
    if checked[key] == nil then
      local reply = redis.pcall(command, key)
      checked[key] = type(reply) == "table" and reply.err or false
    end
    return checked[key]
  end

  -- Take a lock, also from a task of the staged set that the new one replaces, if there is one.
  local function take(lock, id, ttl_s, staged)
    if redis.call("SET", lock, id, "NX", "EX", ttl_s) then
      return true
    end
    local holder = staged and redis.pcall("GET", lock)
    if type(holder) == "string" and redis.call("ZSCORE", staged, holder) then
      return redis.call("SET", lock, id, "EX", ttl_s)
    end
    return false
  end

  local function damaged(at_s, group)
    if at_s then
      return damage("ZCARD", scheduled)
    end
    if group then
      return damage("SCARD", groups) or damage("ZCARD", group_prefix .. group)
    end
    return damage("LLEN", pending)
  end

  -- Write a task, and note where it is to wait.
  local function write(id, message, lock, at_s, group)
    local state = at_s and "scheduled" or group and "aggregating" or "pending"
    local fields = {"msg", message, "state", state}
    local function add(name, value)
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
    if lock then
      add("unique_key", lock)
    end
    if group then
      add("group", group)
    end
    if at_s then
      due[#due + 1] = at_s
      due[#due + 1] = id
    elseif group then
      joined[group] = joined[group] or {}
      table.insert(joined[group], now_s)
      table.insert(joined[group], id)
    else
      add("pending_since", now_ns)
      ready[#ready + 1] = id
    end
    redis.call("HSET", task_prefix .. id, unpack(fields))
    wrote = true
  end

  -- Create the task at place i of each, and return the answer.
  local function create(i, staged)
    local id, message, lock, ttl_s, at_s, group = unpack(each, i, i + 5)
    local wrong = damaged(at_s, group)
    if wrong then
      return wrong
    end
    if redis.call("EXISTS", task_prefix .. id) == 1 then
      return 0
    end
    if lock and not take(lock, id, ttl_s, staged) then
      return -1
    end
    write(id, message, lock, at_s, group)
    return 1
  end

  -- The guards: each creates the task at place i if it may, and writes what belongs to it.
  local guards = {}

  -- The row of an outbox, however often it is sent. Its receipt outlives the task, which may be done
  -- and gone before the row is.
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

  -- One tick of a scheduler's entry, which moves on to it. (Protocol 7.2; with asynq every scheduler
  -- enqueues every tick, D47.) A tick may come early_s before its time by the Redis clock: a
  -- scheduler whose clock is fast enqueues nothing. A last tick that is further ahead than credible_s
  -- is not believed: all other schedulers would wait until then.
  --
  -- Returns the answer, -2 if another scheduler has moved the entry on, or -3 if the tick is still to
  -- come; the entry's last tick; the Redis clock, Unix milliseconds; and the last tick that is not
  -- believed, or -1.
  function guards.tick(i, last, known_s, tick_s, ttl_s, early_s, credible_s)
    local before = redis.pcall("GET", last)
    if type(before) == "table" then
      return before.err
    end
    before = tonumber(before)
    local now_ms = now_s * 1000 + math.floor(tonumber(clock[2]) / 1000)
    local disbelieved = -1
    if before and before > now_s + credible_s then
      before, disbelieved = nil, before
    end
    if before and before ~= known_s then
      return {-2, before, now_ms, disbelieved}
    end
    if tick_s > now_s + early_s then
      return {-3, known_s, now_ms, disbelieved}
    end
    local answer = create(i)
    if type(answer) == "string" then
      return answer
    end
    redis.call("SET", last, tick_s, "EX", ttl_s)
    return {answer, tick_s, now_ms, disbelieved}
  end

  -- A staged set, which goes with its tasks and their locks. (Protocol 3.14, asynq v0.26.0
  -- deleteAggregationSetCmd; in one step, D19, and with the locks released, D10.)
  function guards.replaces(i, staged, aggregation_sets)
    local wrong = damage("ZCARD", aggregation_sets) or damage("ZCARD", staged)
    if wrong then
      return wrong
    end
    redis.call("ZREM", aggregation_sets, "")  -- a full Redis lets a script go on that begins like this
    if not redis.call("ZSCORE", aggregation_sets, staged) then
      return -2
    end
    local answer = create(i, staged)
    if answer ~= 1 then
      return answer
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
end

if #ready > 0 then
  redis.call("LPUSH", pending, unpack(ready))
end
if #due > 0 then
  redis.call("ZADD", scheduled, unpack(due))
end
for group, members in pairs(joined) do
  redis.call("ZADD", group_prefix .. group, unpack(members))
  redis.call("SADD", groups, group)
end
if not wrote then
  -- A replica refuses, which may know of tasks that are gone.
  redis.call("DEL", task_prefix)
end
return answers
