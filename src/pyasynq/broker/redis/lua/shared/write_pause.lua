-- Write the pause of an entry as read_pause reads it.
--
-- NEEDS pauses now_s
-- GIVES write_pause

local function write_pause(entry_id, resumed, ends)
  redis.call("HSET", pauses, entry_id, string.format("%s:%d", resumed, ends))
  if redis.call("PTTL", pauses) < (ends - now_s) * 1000 then
    redis.call("EXPIRE", pauses, ends - now_s)
  end
end
