-- Read some tasks of one container: the next to run first in a list, the lowest score in a sorted set.
--
-- USES clock read_ids
-- KEYS
--   container    list or zset
--   lease        zset
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   listed       int   1 if the container is a list
--   start        int   rank of the first task
--   limit        int   most tasks to read
--   max_bytes    int   stop once messages and results have more bytes
-- RETURNS
--   for each: id, message or nil, result or nil, score or nil, 1 if its lease is over or missing,
--   else 0
-- SOURCE
--   protocol 8.3 (asynq v0.26.0 internal/rdb/inspect.go listMessagesCmd, listZSetEntriesCmd)

local ids, scores = read_ids()
local ends = #ids > 0 and redis.call("ZMSCORE", lease, unpack(ids))
local answer, bytes = {}, 0
for n, id in ipairs(ids) do
  if bytes > tonumber(max_bytes) then
    break
  end
  local fields = redis.pcall("HMGET", task_prefix .. id, "msg", "result")
  bytes = bytes + #(fields[1] or "") + #(fields[2] or "")
  local over = not ends[n] or tonumber(ends[n]) <= now_s
  answer[n] = { id, fields[1] or false, fields[2] or false, scores[n] or false, over and 1 or 0 }
end
return answer
