-- Create tasks that wait in a group to be combined.
--
-- USES clock created
-- KEYS
--   groups        set
-- ARGV
--   task_prefix   str    start of the keys of this queue's tasks
--   group_prefix  str    start of the keys of this queue's groups
-- EACH
--   id            str    task id
--   message       bytes  encoded TaskMessage
--   lock          str    key of the unique lock, or empty
--   ttl_s         int    life of the lock, seconds
--   group         str    group to join
-- RETURNS
--   for each: 1 added, 0 the id is taken, -1 the lock is held
-- SOURCE
--   protocol 3.5 (asynq v0.26.0 internal/rdb/rdb.go addToGroupCmd, addToGroupUniqueCmd); stores
--   the lock's key in the hash, so that an inspector can release it (D8)

redis.call("SCARD", groups)
for i = 1, #each, stride do
  redis.call("ZCARD", group_prefix .. each[i + 4])
end
local answers = {}
for i = 1, #each, stride do
  local id, group = each[i], each[i + 4]
  local answer = create(id, each[i + 1], "aggregating", each[i + 2], each[i + 3], "group", group)
  if answer == 1 then
    redis.call("ZADD", group_prefix .. group, now_s, id)
    redis.call("SADD", groups, group)
  end
  answers[#answers + 1] = answer
end
return answered(answers)
