-- Find the tasks of one sorted set whose last error contains a text, in upper or lower case.
--
-- USES last_error
-- KEYS
--   container    zset
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   queue        str   the queue
--   start        int   rank of the first task
--   limit        int   most tasks to look at
--   max_bytes    int   stop once messages have more bytes
--   text         str   the text, in lower case
-- RETURNS
--   number of tasks that were looked at, then the ids of those found

local ids = redis.call("ZRANGE", container, start, start + limit - 1)
local answer, bytes = {0}, 0
local most_bytes = tonumber(max_bytes)
for n = 1, #ids do
  local id = ids[n]
  local message = redis.pcall("HGET", task_prefix .. id, "msg")
  answer[1] = n
  if type(message) == "string" then
    bytes = bytes + #message
    if has_error(id, message) then
      answer[#answer + 1] = id
    end
  end
  if bytes > most_bytes then
    break
  end
end
return answer
