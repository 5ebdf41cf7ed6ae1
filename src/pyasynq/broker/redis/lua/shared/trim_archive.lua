-- Keep the archive within its limits.
--
-- NEEDS archived archive_s most_archived task_prefix now_s unlock
-- GIVES trim_archive

-- Delete up to 128 archived tasks, oldest first, and return their number: those above the age; if
-- there are none, those above the number once incoming more tasks are there.
local function trim_archive(incoming)
  local ids = redis.call("ZRANGEBYSCORE", archived, "-inf", now_s - archive_s, "LIMIT", 0, 128)
  if #ids == 0 then
    local over = redis.call("ZCARD", archived) + incoming - most_archived
    if over > 0 then
      ids = redis.call("ZRANGE", archived, 0, math.min(over, 128) - 1)
    end
  end
  if #ids == 0 then
    return 0
  end
  redis.call("ZREM", archived, unpack(ids))
  for _, id in ipairs(ids) do
    local key = task_prefix .. id
    unlock(redis.pcall("HGET", key, "unique_key"), id)
    redis.call("DEL", key)
  end
  return #ids
end
