-- Move tasks that are done to completed, until their retention is over.
--
-- USES clock by_this_clock locks stamp owns check_held take_from_tail remove_active clear_run_history count notify
-- KEYS
--   active         list
--   lease          zset
--   completed      zset
--   processed      string
--   failed         string
--   processed_day  string
--   failed_day     string
--   awaited        zset
-- ARGV
--   task_prefix    str     start of the keys of this queue's tasks
--   day_ends_s     int     when the counters of the day end, Unix seconds
--   done_prefix    str     start of the keys of the lists on which clients wait for a result
--   done_ttl_s     int     TTL of such a list, seconds
--   sent_s         int     the caller's clock, Unix seconds
-- EACH
--   id             str     task id
--   owner          str     owner token of the dequeue; empty if a recoverer holds it
--   message        bytes   encoded TaskMessage with its completion time
--   expires_s      int     end of the retention, Unix seconds of the caller's clock
--   lock           str     key of the task's unique lock, or empty
-- RETURNS
--   for each: 1 completed, 0 no longer held
-- SOURCE
--   protocol 3.8 (asynq v0.26.0 internal/rdb/rdb.go markAsCompleteCmd); corrects expires_s by the
--   difference of the clocks (D68)

redis.call("ZCARD", completed)
local answers, mine = check_held()
if #mine == 0 then
  return answers
end
remove_active(mine)
for n, answer in ipairs(answers) do
  local i = 1 + (n - 1) * stride
  if answer == 1 then
    local key = task_prefix .. each[i]
    redis.call("ZADD", completed, by_this_clock(each[i + 3]), each[i])
    redis.call("HSET", key, "msg", each[i + 2], "state", "completed")
    clear_run_history(key)
    unlock(each[i + 4], each[i])
    notify_waiters(each[i])
  end
end
count(#mine, 0)
return answers
