-- Extend leases.
--
-- USES clock seconds_ahead stamp owns check_held
-- KEYS
--   active       list
--   lease        zset
-- PRIMARY lease
-- ARGV
--   task_prefix  str    start of the keys of this queue's tasks
--   lease_s      float  length of the lease from now, seconds
-- EACH
--   id           str    task id
--   owner        str    owner token of the dequeue
-- RETURNS
--   for each: 1 extended, 0 no longer held
-- SOURCE
--   protocol 3.12 (asynq v0.26.0 internal/rdb/rdb.go ExtendLease); returns which leases are lost (D30)

local answers = check_held()
-- Redis writes a number as text for each command that gets it.
local lease_ends = string.format("%d", seconds_ahead(lease_s))
for n, answer in ipairs(answers) do
  local i = 1 + (n - 1) * stride
  if answer == 1 then
    redis.call("ZADD", lease, "XX", lease_ends, each[i])
    redis.call("HSET", task_prefix .. each[i], "owner", stamp(each[i + 1], lease_ends))
  end
end
return answers
