-- Create tasks and make them ready to run.
--
-- USES clock created
-- KEYS
--   pending      list
-- ARGV
--   task_prefix  str    start of the keys of this queue's tasks
-- EACH
--   id           str    task id
--   message      bytes  encoded TaskMessage
--   lock         str    key of the unique lock, or empty
--   ttl_s        int    life of the lock, seconds
-- RETURNS
--   for each: 1 enqueued, 0 the id is taken, -1 the lock is held
-- SOURCE
--   protocol 3.3 (asynq v0.26.0 internal/rdb/rdb.go enqueueCmd, enqueueUniqueCmd); checks the id
--   before the lock, which there stays behind (D7)

redis.call("LLEN", pending)
local answers, ready = {}, {}
for i = 1, #each, stride do
  local id = each[i]
  local answer = create(id, each[i + 1], "pending", each[i + 2], each[i + 3], "pending_since", now_ns)
  answers[#answers + 1] = answer
  if answer == 1 then
    ready[#ready + 1] = id
  end
end
if #ready > 0 then
  redis.call("LPUSH", pending, unpack(ready))
end
return answered(answers)
