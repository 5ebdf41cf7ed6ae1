-- Let tasks run again later.
--
-- USES clock held counted
-- KEYS
--   active         list
--   lease          zset
--   retry          zset
--   processed      string
--   failed         string
--   processed_day  string
--   failed_day     string
-- ARGV
--   task_prefix    str    start of the keys of this queue's tasks
--   day_ends_s     int    when the counters of the day end, Unix seconds
-- EACH
--   id             str    task id
--   owner          str    token of the taking; empty if a recoverer holds it
--   message        bytes  encoded TaskMessage with what went wrong
--   at_s           int    when to run, Unix seconds
--   failure        int    1 if it counts as a failure, else 0
-- RETURNS
--   for each: 1 waiting, 0 no longer held
-- SOURCE
--   protocol 3.10 (asynq v0.26.0 internal/rdb/rdb.go retryCmd)

redis.call("ZCARD", retry)
local answers, mine = held()
if #mine == 0 then
  return answers
end
let_go(mine)
local failures = 0
for n, answer in ipairs(answers) do
  local i = 1 + (n - 1) * stride
  if answer == 1 then
    local key = task_prefix .. each[i]
    redis.call("ZADD", retry, each[i + 3], each[i])
    redis.call("HSET", key, "msg", each[i + 2], "state", "retry")
    redis.call("HDEL", key, "owner")
    failures = failures + each[i + 4]
  end
end
count(failures, failures)
return answers
