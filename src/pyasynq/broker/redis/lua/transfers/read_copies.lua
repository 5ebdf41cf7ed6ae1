-- Read some tasks of one container, with all that belongs to them.
--
-- KEYS
--   container    list or zset
--   groups       set
-- PRIMARY groups
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   listed       int   1 if the container is a list
--   start        int   rank of the first task
--   limit        int   most tasks to read
--   max_bytes    int   stop once messages and results have more bytes
-- RETURNS
--   for each: id, message or nil, score or nil, group or nil, result or nil, milliseconds for which it
--   holds its unique lock, or 0
-- SOURCE
--   none: asynq moves no tasks between servers

local ids, scores = {}, {}
if listed == "1" then
  local found = redis.call("LRANGE", container, -start - limit, -start - 1)
  for n = #found, 1, -1 do
    ids[#ids + 1] = found[n]
  end
else
  local found = redis.call("ZRANGE", container, start, start + limit - 1, "WITHSCORES")
  for n = 1, #found, 2 do
    ids[#ids + 1] = found[n]
    scores[#ids] = found[n + 1]
  end
end

local function lock_ms(lock, id)
  if lock and lock ~= "" and redis.pcall("GET", lock) == id then
    return math.max(redis.call("PTTL", lock), 0)
  end
  return 0
end

local answer, bytes = {}, 0
for n, id in ipairs(ids) do
  if bytes > tonumber(max_bytes) then
    break
  end
  local fields = redis.pcall("HMGET", task_prefix .. id, "msg", "group", "result", "unique_key")
  local message, group, result = fields[1] or false, fields[2] or false, fields[3] or false
  bytes = bytes + #(message or "") + #(result or "")
  answer[n] = { id, message, scores[n] or false, group, result, lock_ms(fields[4], id) }
end
return answer
