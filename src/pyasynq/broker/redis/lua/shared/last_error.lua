-- Look for a text in the last errors of tasks.
--
-- NEEDS container task_prefix queue start limit max_bytes text
-- GIVES find_errors

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
  while at <= size do
    local tag, value = byte(message, at, at + 1)  -- most tags and most values have one byte
    local behind = at + 2
    if tag > 127 or not value or value > 127 then
      tag, behind = number_at(message, at)
      value, behind = number_at(message, behind or size + 1)
      if not value then
        return
      end
    end
    local kind = tag % 8
    if kind == 2 then
      at = behind + value
      if tag == ERROR then
        found = sub(message, behind, at - 1)
      elseif tag == ID then
        known = sub(message, behind, at - 1) == id and known + 1 or known
      elseif tag == QUEUE then
        known = sub(message, behind, at - 1) == queue and known + 1 or known
      end
    elseif kind == 0 then
      at = behind
    else
      return
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

-- Return the ids of the tasks with the text, among limit ones from start on, and how many were looked
-- at: fewer if their messages are large.
local function find_errors()
  local ids = redis.call("ZRANGE", container, start, start + limit - 1)
  local found, looked_at, bytes = {}, 0, 0
  local most_bytes = tonumber(max_bytes)
  for n = 1, #ids do
    local id = ids[n]
    local message = redis.pcall("HGET", task_prefix .. id, "msg")
    looked_at = n
    if type(message) == "string" then
      bytes = bytes + #message
      if has_error(id, message) then
        found[#found + 1] = id
      end
    end
    if bytes > most_bytes then
      break
    end
  end
  return found, looked_at
end
