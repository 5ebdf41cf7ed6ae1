-- Put tasks back at the head of their queue, as if they had not been taken.
--
-- USES clock now_ns stamp owns check_held take_from_tail remove_active release_owner
-- KEYS
--   active       list
--   lease        zset
--   pending      list
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
-- EACH
--   id           str   task id
--   owner        str   owner token of the dequeue; empty if a recoverer holds it
-- RETURNS
--   for each: 1 pending, 0 no longer held
-- SOURCE
--   protocol 3.9 (asynq v0.26.0 internal/rdb/rdb.go requeueCmd); sets pending_since, so that the
--   queue's latency stays right (D18)

redis.call("LLEN", pending)
local answers, mine = check_held()
if #mine == 0 then
  return answers
end
remove_active(mine)
for n = #mine, 1, -1 do  -- in reverse, so that the first one runs first
  local id = mine[n]
  redis.call("RPUSH", pending, id)
  redis.call("HSET", task_prefix .. id, "state", "pending", "pending_since", now_ns)
  release_owner(task_prefix .. id)
end
return answers
