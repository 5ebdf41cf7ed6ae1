-- Move waiting tasks to pending for an operator.
--
-- USES clock now_ns take_from_set
-- KEYS
--   source       zset
--   pending      list
--   groups       set
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   group        str   the group that source holds, or empty
-- EACH
--   id           str   task id
-- RETURNS
--   for each: 1 pending, 0 not there
-- SOURCE
--   protocol 8.4 and 8.5 (asynq v0.26.0 internal/rdb/inspect.go runTaskCmd, runAllCmd); sets
--   pending_since (D18), clears the group, which the task has left for good (D15), and clears the
--   task's run history

redis.call("LLEN", pending)
redis.call("SCARD", groups)
local found = take_from_set(each)
local answers, ready = {}, {}
for n, id in ipairs(each) do
  local key = task_prefix .. id
  answers[n] = 0
  if found[id] and redis.pcall("HEXISTS", key, "msg") == 1 then
    answers[n] = 1
    ready[#ready + 1] = id
    redis.call("HSET", key, "state", "pending", "pending_since", now_ns)
    redis.call("HDEL", key, "group", "owner", "crashes", "unknown_since", "past_retried", "to_begin")
  end
end
if #ready > 0 then
  redis.call("LPUSH", pending, unpack(ready))
end
return answers
