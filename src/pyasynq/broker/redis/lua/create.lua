-- Create tasks and put them where they wait. A task may have a guard, with which it is created once
-- only, whoever tries and wherever they die: what the guard writes and the task are written in one
-- step.
--
-- USES clock locks place
-- KEYS
--   pending       list
--   scheduled     zset
--   groups        set
-- ARGV
--   task_prefix   str    start of the keys of this queue's tasks
--   group_prefix  str    start of the keys of this queue's groups
-- TASKS
--   id            str    task id
--   message       bytes  encoded TaskMessage
--   lock          str    key of the unique lock
--   ttl_s         int    life of the lock, seconds
--   at_s          int    when to run, Unix seconds
--   group         str    group to join, when due
--   guard         array  name of a function of this script, and what it takes
-- RETURNS
--   for each: 1 created, 0 the id is taken, -1 the lock is held, -2 the guard does not let it, or
--   Redis' error, for a key of a wrong type. What a tick is answered is named there
-- SOURCE
--   protocol 3.3 to 3.5 (asynq v0.26.0 internal/rdb/rdb.go enqueueCmd, enqueueUniqueCmd, scheduleCmd,
--   scheduleUniqueCmd, addToGroupCmd, addToGroupUniqueCmd); checks the id before the lock, which
--   there stays behind (D7)

local guards = {}

-- The row of an outbox, however often it is sent. Its receipt outlives the task, which may be done
-- and gone before the row is.
function guards.receipt(task, receipt, kept_s)
  if redis.call("EXISTS", receipt) == 1 then
    return -2
  end
  local answer = place(task)
  if answer == 1 then
    redis.call("SET", receipt, 1, "EX", kept_s)
  end
  return answer
end

-- One tick of a scheduler's entry, which moves on to it. (Protocol 7.2; with asynq every scheduler
-- enqueues every tick, D47.) A tick may come early_s before its time by the Redis clock: a scheduler
-- whose clock is fast enqueues nothing. A last tick that is further ahead than credible_s is not
-- believed: all other schedulers would wait until then.
--
-- Returns the answer, -2 if another scheduler has moved the entry on, or -3 if the tick is still to
-- come; the entry's last tick; the Redis clock, Unix milliseconds; and the last tick that is not
-- believed, or -1.
function guards.tick(task, last, known_s, tick_s, keep_s, early_s, credible_s)
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
  local answer = place(task)
  if type(answer) == "string" then
    return answer
  end
  redis.call("SET", last, tick_s, "EX", keep_s)
  return {answer, tick_s, now_ms, disbelieved}
end

-- A staged set, which goes with its tasks and their locks. (Protocol 3.14, asynq v0.26.0
-- deleteAggregationSetCmd; in one step, D19, and with the locks released, D10.)
function guards.replaces(task, staged, aggregation_sets)
  local wrong = damage("ZCARD", aggregation_sets) or damage("ZCARD", staged)
  if wrong then
    return wrong
  end
  redis.call("ZREM", aggregation_sets, "")  -- a full Redis lets a script go on that begins like this
  if not redis.call("ZSCORE", aggregation_sets, staged) then
    return -2
  end
  local answer = place(task, staged)
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

local answers = {}
for n, task in ipairs(tasks) do
  local guard = task[7]
  if guard then
    answers[n] = guards[guard[1]](task, unpack(guard, 2))
  else
    answers[n] = place(task)
  end
end
flush()
return answered(answers)
