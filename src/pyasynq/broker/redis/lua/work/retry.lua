-- Move running tasks to retry, to run again later.
--
-- USES clock by_this_clock stamp owns check_held take_from_tail remove_active to_whole clear_run_history count
-- KEYS
--   active         list
--   lease          zset
--   retry          zset
--   processed      string
--   failed         string
--   processed_day  string
--   failed_day     string
-- ARGV
--   task_prefix    str     start of the keys of this queue's tasks
--   day_ends_s     int     when the counters of the day end, Unix seconds
--   sent_s         int     the caller's clock, Unix seconds
-- EACH
--   id             str     task id
--   owner          str     owner token of the dequeue; empty if a recoverer holds it
--   message        bytes   encoded TaskMessage with the error
--   at_s           int     when to run, Unix seconds of the caller's clock
--   failure        int     1 if it counts as a failure, else 0
--   crashes        int     number of workers in a row that died while they had it
--   unknown        int     1 if no worker has had a handler for its type yet, else 0
--   retried        int     number of retries in the message
--   attempt_field  str     field for the record of this try, or empty
--   attempt        bytes   record of this try, or empty
-- RETURNS
--   for each: 1 waiting, 0 no longer held
-- SOURCE
--   protocol 3.10 (asynq v0.26.0 internal/rdb/rdb.go retryCmd); corrects at_s by the difference of
--   the clocks (D68)

redis.call("ZCARD", retry)
local answers, mine = check_held()
if #mine == 0 then
  return answers
end
remove_active(mine)
local failures = 0
for n, answer in ipairs(answers) do
  local i = 1 + (n - 1) * stride
  if answer == 1 then
    local key = task_prefix .. each[i]
    local since = each[i + 6] == 1 and to_whole(redis.pcall("HGET", key, "unknown_since"))
    redis.call("ZADD", retry, by_this_clock(each[i + 3]), each[i])
    redis.call("HSET", key, "msg", each[i + 2], "state", "retry")
    clear_run_history(key)
    if each[i + 5] > 0 then
      redis.call("HSET", key, "crashes", each[i + 5], "owner", "")
    end
    if since then
      redis.call("HSET", key, "unknown_since", since > 0 and since or now_s, "owner", "")
    end
    if since or each[i + 5] > 0 then
      redis.call("HSET", key, "past_retried", each[i + 7])
    end
    if each[i + 8] ~= "" then
      redis.call("HSET", key, each[i + 8], each[i + 9])
    end
    failures = failures + each[i + 4]
  end
end
count(failures, failures)
return answers
