-- Delete tasks that are done.
--
-- USES clock locks stamp owns check_held take_from_tail remove_active count
-- KEYS
--   active         list
--   lease          zset
--   processed      string
--   failed         string
--   processed_day  string
--   failed_day     string
-- ARGV
--   task_prefix    str     start of the keys of this queue's tasks
--   day_ends_s     int     when the counters of the day end, Unix seconds
-- EACH
--   id             str     task id
--   owner          str     owner token of the dequeue; empty if a recoverer holds it
--   lock           str     key of the task's unique lock, or empty
-- RETURNS
--   for each: 1 deleted, 0 no longer held
-- SOURCE
--   protocol 3.7 (asynq v0.26.0 internal/rdb/rdb.go doneCmd, doneUniqueCmd)

local answers, mine = check_held()
if #mine == 0 then
  return answers
end
remove_active(mine)
local hashes = {}
for n, id in ipairs(mine) do
  hashes[n] = task_prefix .. id
end
redis.call("DEL", unpack(hashes))
for n, answer in ipairs(answers) do
  local i = 1 + (n - 1) * stride
  if answer == 1 then
    unlock(each[i + 2], each[i])
  end
end
count(#mine, 0)
return answers
