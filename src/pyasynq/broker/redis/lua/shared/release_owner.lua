-- Release a task that goes back to its queue, and keep its run history; see read_run_history.
--
-- GIVES release_owner

-- Empty the field owner if the task has a run history, else remove it.
local function release_owner(key)
  if redis.call("HEXISTS", key, "crashes") + redis.call("HEXISTS", key, "unknown_since") > 0 then
    redis.call("HSET", key, "owner", "")
  else
    redis.call("HDEL", key, "owner")
  end
end
