-- Archive running tasks.
--
-- USES clock locks stamp owns check_held take_from_tail remove_active clear_run_history count trim_archive notify
-- KEYS
--   active         list
--   lease          zset
--   archived       zset
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
--   archive_s      int     TTL of an archived task, seconds
--   most_archived  int     tasks in the archive
-- EACH
--   id             str     task id
--   owner          str     owner token of the dequeue; empty if a recoverer holds it
--   message        bytes   encoded TaskMessage with the error; if empty, the stored one stays
--   attempt_field  str     field for the record of this try, or empty
--   attempt        bytes   record of this try, or empty
-- RETURNS
--   for each: 1 archived, 0 no longer held
-- SOURCE
--   protocol 3.11 (asynq v0.26.0 internal/rdb/rdb.go archiveCmd); trims first and in chunks; asynq's
--   trimming fails forever once some 8,000 tasks are too old (D21)

redis.call("ZCARD", archived)
local answers, mine = check_held()
if #mine == 0 then
  return answers
end
remove_active(mine)
trim_archive(#mine)
for n, answer in ipairs(answers) do
  local i = 1 + (n - 1) * stride
  if answer == 1 then
    local key = task_prefix .. each[i]
    redis.call("ZADD", archived, now_s, each[i])
    redis.call("HSET", key, "state", "archived")
    if each[i + 2] ~= "" then
      redis.call("HSET", key, "msg", each[i + 2])
    end
    if each[i + 3] ~= "" then
      redis.call("HSET", key, each[i + 3], each[i + 4])
    end
    clear_run_history(key)
    notify_waiters(each[i])
  end
end
count(#mine, #mine)
return answers
