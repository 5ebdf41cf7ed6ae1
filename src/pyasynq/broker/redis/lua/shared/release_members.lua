-- Give staged tasks to the workers.
--
-- NEEDS staged_prefix archive task_prefix ended_prefix failed_prefix now_ns containers clear_run_history
-- GIVES release_members

-- In protobuf a field that stands behind the others replaces an earlier one: no retries are spent.
local UNTRIED = string.char(48, 0)

-- Let a failed member of batch run again; if its task is no longer archived, it stays failed.
local function run_again(id, task, number, batch, add)
  local key = task_prefix .. task
  local message = redis.call("ZREM", archive, task) == 1 and redis.call("HGET", key, "msg")
  if not message then
    batch.left, batch.failed = batch.left - 1, batch.failed + 1
    redis.call("SADD", failed_prefix .. id, number)
    return
  end
  redis.call("SETBIT", ended_prefix .. id, number, 0)
  redis.call("HSET", key, "msg", message .. UNTRIED, "state", "pending", "pending_since", now_ns)
  clear_run_history(key)
  add(task)
end

-- Release up to limit of the tasks that were created together under this id; return how many. Their
-- batch may be given as read_batch returns it. What has a number is a failed member.
local function release_members(id, limit, batch)
  local staged = staged_prefix .. id
  local tasks = redis.call("LRANGE", staged, -limit, -1)
  local add, fill = containers()
  for n = #tasks, 1, -1 do
    local task, at_s, group, number = unpack(cmsgpack.unpack(tasks[n]), 1, 4)
    if number then
      run_again(id, task, number, batch, add)
    else
      add(task, at_s, group)
    end
  end
  redis.call("LTRIM", staged, 0, -#tasks - 1)
  fill()
  return #tasks
end
