-- Archive waiting tasks for an operator.
--
-- USES clock locks take_from_tail trim_archive take_from_set take_out
-- KEYS
--   source         list or zset
--   archived       zset
--   groups         set
-- ARGV
--   task_prefix    str   start of the keys of this queue's tasks
--   state          str   state of the tasks in source
--   group          str   the group that source holds, or empty
--   nearer         int   end of the list from which to search for a single task: 1 left, -1 right
--   archive_s      int   TTL of an archived task, seconds
--   most_archived  int   tasks in the archive
-- EACH
--   id             str   task id
-- RETURNS
--   for each: 1 archived, 0 not there
-- SOURCE
--   protocol 8.4 and 8.5 (asynq v0.26.0 internal/rdb/inspect.go archiveTaskCmd, archiveAllCmd);
--   deletes trimmed tasks, in chunks (D20, D21); clears pending_since (D18) and group (D15)

redis.call("ZCARD", archived)
redis.call("SCARD", groups)
local found = take_out(each)
for _ = 0, math.ceil(#each / 128) do
  if trim_archive(#each) == 0 then
    break
  end
end
local answers = {}
for n, id in ipairs(each) do
  local key = task_prefix .. id
  answers[n] = 0
  if found[id] and redis.pcall("HEXISTS", key, "msg") == 1 then
    answers[n] = 1
    redis.call("ZADD", archived, now_s, id)
    redis.call("HSET", key, "state", "archived")
    redis.call("HDEL", key, "pending_since", "group")
  end
end
return answers
