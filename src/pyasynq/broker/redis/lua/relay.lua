-- Create the tasks of an outbox, each once however often its row is sent.
--
-- USES clock created
-- KEYS
--   pending         list
--   scheduled       zset
--   groups          set
-- ARGV
--   task_prefix     str    start of the keys of this queue's tasks
--   group_prefix    str    start of the keys of this queue's groups
--   receipt_prefix  str    start of the keys of this queue's receipts
--   kept_s          int    life of a receipt, seconds
-- EACH
--   row             str    id of the row, by which the receipt is filed
--   id              str    task id
--   message         bytes  encoded TaskMessage
--   lock            str    key of the unique lock, or empty
--   ttl_s           int    life of the lock, seconds
--   at_s            int    when to run, Unix seconds, or 0 for at once
--   group           str    group to join, when due, or empty
-- RETURNS
--   for each: 1 created, 2 created by an earlier call, 0 the id is taken, -1 the lock is held
-- SOURCE
--   none: asynq has no outbox. What is created is that of protocol 3.3 to 3.5; the receipt outlives
--   the task, which may be done and gone before its row is

redis.call("LLEN", pending)
redis.call("ZCARD", scheduled)
redis.call("SCARD", groups)
for i = 1, #each, stride do
  redis.call("ZCARD", group_prefix .. each[i + 6])
end

-- Create what at position i is described, with more fields for its hash.
local function create_at(i, state, ...)
  local group = each[i + 6]
  if group ~= "" then
    return create(each[i + 1], each[i + 2], state, each[i + 3], each[i + 4], "group", group, ...)
  end
  return create(each[i + 1], each[i + 2], state, each[i + 3], each[i + 4], ...)
end

local function enqueue(i)
  local id, at_s, group = each[i + 1], each[i + 5], each[i + 6]
  local answer
  if at_s > 0 then
    answer = create_at(i, "scheduled")
    if answer == 1 then
      redis.call("ZADD", scheduled, at_s, id)
    end
  elseif group ~= "" then
    answer = create_at(i, "aggregating")
    if answer == 1 then
      redis.call("ZADD", group_prefix .. group, now_s, id)
      redis.call("SADD", groups, group)
    end
  else
    answer = create_at(i, "pending", "pending_since", now_ns)
    if answer == 1 then
      redis.call("LPUSH", pending, id)
    end
  end
  return answer
end

local answers = {}
for i = 1, #each, stride do
  local receipt = receipt_prefix .. each[i]
  local answer = 2
  if redis.call("EXISTS", receipt) == 0 then
    answer = enqueue(i)
    if answer == 1 then
      redis.call("SET", receipt, 1, "EX", kept_s)
    end
  end
  answers[#answers + 1] = answer
end
return answered(answers)
