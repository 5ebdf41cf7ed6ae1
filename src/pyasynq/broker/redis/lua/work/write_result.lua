-- Store the result of a running task.
--
-- USES clock stamp owns check_held
-- KEYS
--   active       list
--   lease        zset
-- ARGV
--   task_prefix  str    start of the keys of this queue's tasks
-- EACH
--   id           str    task id
--   owner        str    owner token of the dequeue
--   data         bytes  the result
-- RETURNS
--   for each: 1 stored, 0 no longer held
-- SOURCE
--   protocol 3.17 (asynq v0.26.0 internal/rdb/rdb.go WriteResult); never creates a hash (D38)

local answers = check_held()
for n, answer in ipairs(answers) do
  local i = 1 + (n - 1) * stride
  if answer == 1 then
    redis.call("HSET", task_prefix .. each[i], "result", each[i + 2])
  end
end
return answers
