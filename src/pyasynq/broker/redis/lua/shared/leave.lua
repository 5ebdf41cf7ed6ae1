-- Letting go of what a task has been through; see recall.
--
-- GIVES leave

-- Let go of a task, with all that it has been through.
local function leave(key)
  if redis.call("HEXISTS", key, "crashes") + redis.call("HEXISTS", key, "unknown_since") > 0 then
    redis.call("HSET", key, "owner", "")
  else
    redis.call("HDEL", key, "owner")
  end
end
