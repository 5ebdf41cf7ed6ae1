-- Clear the run history of a task; see read_run_history.
--
-- GIVES clear_run_history

-- Clear all of it, because a run has ended without a crash.
local function clear_run_history(key)
  redis.call("HDEL", key, "owner", "crashes", "unknown_since", "past_retried", "to_begin")
end
