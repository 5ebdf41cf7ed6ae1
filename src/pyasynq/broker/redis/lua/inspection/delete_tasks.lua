-- Delete waiting or ended tasks for an operator.
--
-- USES locks take_from_tail take_from_set take_out
-- KEYS
--   source       list or zset
--   groups       set
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   state        str   state of the tasks in source
--   group        str   the group that source holds, or empty
--   nearer       int   end of the list from which to search for a single task: 1 left, -1 right
-- EACH
--   id           str   task id
-- RETURNS
--   for each: 1 deleted, 0 not there
-- SOURCE
--   protocol 8.4 and 8.5 (asynq v0.26.0 internal/rdb/inspect.go deleteTaskCmd, deleteAllCmd);
--   always releases the lock (D9), and deletes tasks that are in no container (D20)

-- Return whether the task is not in the container of its state, for example because Go has trimmed
-- it. Not for aggregating tasks, which may be in an aggregation set, nor for several pending tasks,
-- for which only the tail of the list was searched.
local function is_orphan(id)
  return state ~= "aggregating"
    and (state ~= "pending" or #each == 1)
    and redis.pcall("HGET", task_prefix .. id, "state") == state
end

redis.call("SCARD", groups)
local found = take_out(each)
local answers = {}
for n, id in ipairs(each) do
  local key = task_prefix .. id
  answers[n] = 0
  if found[id] or is_orphan(id) then
    unlock(redis.pcall("HGET", key, "unique_key"), id)
    answers[n] = redis.call("UNLINK", key)
  end
end
return answers
