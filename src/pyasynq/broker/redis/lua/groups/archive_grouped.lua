-- Archive tasks of an aggregation set.
--
-- USES clock locks trim_archive
-- KEYS
--   aggregation_sets  zset
--   set               zset
--   archived          zset
-- PRIMARY aggregation_sets
-- ARGV
--   task_prefix       str    start of the keys of this queue's tasks
--   archive_s         int    TTL of an archived task, seconds
--   most_archived     int    tasks in the archive
-- EACH
--   id                str    task id
--   message           bytes  encoded TaskMessage with the error; if empty, the stored one stays
-- RETURNS
--   tasks archived
-- SOURCE
--   improves on asynq v0.26.0, where one bad task keeps its whole group from being combined (D19, D27)

redis.call("ZCARD", archived)
if not redis.call("ZSCORE", aggregation_sets, set) then
  return 0
end
local mine = {}
for i = 1, #each, stride do
  local there = redis.pcall("HEXISTS", task_prefix .. each[i], "msg") == 1
  if there and redis.call("ZSCORE", set, each[i]) then
    mine[#mine + 1] = i
  end
end
if #mine == 0 then
  return 0
end
trim_archive(#mine)
for _, i in ipairs(mine) do
  local id, message, key = each[i], each[i + 1], task_prefix .. each[i]
  redis.call("ZREM", set, id)
  redis.call("HDEL", key, "group", "aggregation_failures")
  redis.call("HSET", key, "state", "archived")
  if message ~= "" then
    redis.call("HSET", key, "msg", message)
  end
  redis.call("ZADD", archived, now_s, id)
end
if redis.call("EXISTS", set) == 0 then
  redis.call("ZREM", aggregation_sets, set)
end
return #mine
