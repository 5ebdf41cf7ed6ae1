-- Note that the handlers of tasks that have crashed workers before are called now.
--
-- USES clock stamp owns check_held
-- KEYS
--   active       list
--   lease        zset
-- PRIMARY lease
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
-- EACH
--   id           str   task id
--   owner        str   owner token of the dequeue
-- RETURNS
--   for each: 1 noted, 0 no longer held
-- SOURCE
--   none: asynq does not count crashes (D66)

local answers, mine = check_held()
for _, id in ipairs(mine) do
  redis.call("HDEL", task_prefix .. id, "to_begin")
end
return answers
