-- Read some tasks of one container, with all that belongs to them.
--
-- USES read_ids
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
-- EACH
--   field        str   a field with the record of a failed try
-- RETURNS
--   for each: id, message or nil, score or nil, group or nil, result or nil, milliseconds for which it
--   holds its unique lock, or 0, then the records of its failed tries or nil
-- SOURCE
--   none: asynq moves no tasks between servers

local ids, scores = read_ids()

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
  local key = task_prefix .. id
  local fields = redis.pcall("HMGET", key, "msg", "group", "result", "unique_key", unpack(each))
  local message, group, result = fields[1] or false, fields[2] or false, fields[3] or false
  answer[n] = { id, message, scores[n] or false, group, result, lock_ms(fields[4], id) }
  bytes = bytes + #(message or "") + #(result or "")
  for k = 5, 4 + #each do
    answer[n][k + 2] = fields[k] or false
    bytes = bytes + #(fields[k] or "")
  end
end
return answer
