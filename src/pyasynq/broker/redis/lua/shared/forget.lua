-- Forgetting what a task has been through; see recall.
--
-- GIVES forget

-- Forget all of it: the task has come to an end of its own.
local function forget(key)
  redis.call("HDEL", key, "owner", "crashes", "unknown_since", "past_retried", "to_begin")
end
