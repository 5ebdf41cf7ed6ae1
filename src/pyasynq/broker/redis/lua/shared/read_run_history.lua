-- Read the run history of a task: crashes of its workers, and workers without a handler for it.
-- The fields of its hash are not in asynq. `crashes` counts the workers in a row that died while they
-- had the task. `unknown_since` is when a worker first had no handler for its type, Unix seconds.
-- `to_begin` is the owner token of a dequeue of a task with crashes, until its handler is called: if
-- the worker dies before that, the task did not kill it. The token of a dead worker stays, so that a
-- task is excused only once, and a task that kills each worker at the dequeue is given up, too.
-- `past_retried` is the number of retries when the history was written. If the task has another
-- number now, a worker that does not know these fields, such as asynq's, has run it since.
--
-- NEEDS now_s to_whole
-- GIVES read_run_history

-- A task with a run history keeps the field `owner`, empty while nobody holds it. So the HSET of a
-- dequeue shows without another command whether there is a history to read.

-- If the task has a run history, add to histories: index, crashes, seconds unknown or -1, and retries
-- at that time or -1. If it has crashes, note that its handler has not been called yet.
local function read_run_history(histories, index, key, owner)
  local fields = redis.call("HMGET", key, "crashes", "unknown_since", "past_retried")
  local crashes = to_whole(fields[1])
  if crashes > 0 then
    redis.call("HSETNX", key, "to_begin", owner)
  end
  if fields[1] or fields[2] then
    histories[#histories + 1] = index
    histories[#histories + 1] = crashes
    histories[#histories + 1] = fields[2] and math.max(now_s - to_whole(fields[2]), 0) or -1
    histories[#histories + 1] = fields[3] and to_whole(fields[3]) or -1
  end
end
