-- Read and write pauses of entries. A stored value is "<resumed_s>:<ends_s>", Unix seconds; while
-- the entry is paused, resumed_s is empty.
--
-- NEEDS pauses now_s
-- GIVES read_pause write_pause

-- Return resumed_s and ends_s; nil if there is no such value, or it is over or cannot be read.
local function read_pause(value)
  local resumed, ends = string.match(value or "", "^(%d*):(%d+)$")
  if resumed and tonumber(ends) > now_s then
    return resumed, tonumber(ends)
  end
end

local function write_pause(entry_id, resumed, ends)
  redis.call("HSET", pauses, entry_id, string.format("%s:%d", resumed, ends))
  if redis.call("PTTL", pauses) < (ends - now_s) * 1000 then
    redis.call("EXPIRE", pauses, ends - now_s)
  end
end
