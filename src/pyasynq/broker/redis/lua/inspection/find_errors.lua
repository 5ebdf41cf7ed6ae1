-- Find the tasks of one sorted set whose last error contains a text, in upper or lower case.
--
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

local ID, QUEUE, ERROR = 26, 34, 58  -- fields 3, 4 and 7 of a message, as their tags
local byte, find, lower, sub = string.byte, string.find, string.lower, string.sub

-- Return the number at a place of a message, and the place behind it; nothing if the message ends.
local function number_at(message, place)
  local value, factor = 0, 1
  for at = place, place + 9 do
    local digits = byte(message, at)
    if not digits then
      return
    end
    if digits < 128 then
      return value + digits * factor, at + 1
    end
    value, factor = value + (digits - 128) * factor, factor * 128
  end
end

-- Return the last error of a task; nothing if its message is malformed, or that of another task.
local function error_of(id, message)
  local at, size, known, found = 1, #message, 0, ""
  while at and at <= size do
    local tag, value = byte(message, at, at + 1)  -- most tags and most values have one byte
    local behind = at + 2
    if tag > 127 or not value or value > 127 then
      tag, behind = number_at(message, at)
      value, behind = number_at(message, behind or size + 1)
    end
    local kind = tag and tag % 8
    if not value or (kind ~= 0 and kind ~= 2) then
      return
    end
    at = kind == 2 and behind + value or behind
    if tag == ERROR then
      found = sub(message, behind, at - 1)
    elseif (tag == ID and sub(message, behind, at - 1) == id)
      or (tag == QUEUE and sub(message, behind, at - 1) == queue) then
      known = known + 1
    end
  end
  return at == size + 1 and known == 2 and found
end

-- Return whether a task has the text in its last error. Most that have not are known by one search.
local function has_error(id, message)
  if not find(lower(message), text, 1, true) then
    return false
  end
  local found = error_of(id, message)
  return found and find(lower(found), text, 1, true)
end

local ids = redis.call("ZRANGE", container, start, start + limit - 1)
local answer, bytes = {0}, 0
for n, id in ipairs(ids) do
  local message = redis.pcall("HGET", task_prefix .. id, "msg")
  answer[1] = n
  if type(message) == "string" then
    bytes = bytes + #message
    if has_error(id, message) then
      answer[#answer + 1] = id
    end
  end
  if bytes > tonumber(max_bytes) then
    break
  end
end
return answer
