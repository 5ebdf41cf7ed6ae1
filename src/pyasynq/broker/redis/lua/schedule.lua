-- Create tasks that run later.
--
-- USES created
-- KEYS
--   scheduled    zset
-- ARGV
--   task_prefix  str    start of the keys of this queue's tasks
-- EACH
--   id           str    task id
--   message      bytes  encoded TaskMessage
--   lock         str    key of the unique lock, or empty
--   ttl_s        int    life of the lock, seconds
--   at_s         int    when to run, Unix seconds
--   group        str    group to join when due, or empty
-- RETURNS
--   for each: 1 scheduled, 0 the id is taken, -1 the lock is held
-- SOURCE
--   protocol 3.4 (asynq v0.26.0 internal/rdb/rdb.go scheduleCmd, scheduleUniqueCmd); stores the
--   group, which there is forgotten (D14)

redis.call("ZCARD", scheduled)
local answers = {}
for i = 1, #each, stride do
  local id, group = each[i], each[i + 5]
  local answer
  if group == "" then
    answer = create(id, each[i + 1], "scheduled", each[i + 2], each[i + 3])
  else
    answer = create(id, each[i + 1], "scheduled", each[i + 2], each[i + 3], "group", group)
  end
  if answer == 1 then
    redis.call("ZADD", scheduled, each[i + 4], id)
  end
  answers[#answers + 1] = answer
end
return answered(answers)
