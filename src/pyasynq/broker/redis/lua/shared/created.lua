-- Create the hash of a new task.
--
-- NEEDS task_prefix
-- GIVES create answered

local wrote = false

-- Returns 1, or 0 if the id is taken, or -1 if another task holds the lock.
local function create(id, message, state, lock, ttl_s, ...)
  local key = task_prefix .. id
  if redis.call("EXISTS", key) == 1 then
    return 0
  end
  wrote = true
  if lock == "" then
    redis.call("HSET", key, "msg", message, "state", state, ...)
    return 1
  end
  if not redis.call("SET", lock, id, "NX", "EX", ttl_s) then
    return -1
  end
  redis.call("HSET", key, "msg", message, "state", state, "unique_key", lock, ...)
  return 1
end

-- Return what the caller is told. Where nothing was written, a write that changes nothing has a
-- replica refuse, which may know of tasks that are gone.
local function answered(answers)
  if not wrote then
    redis.call("DEL", task_prefix)
  end
  return answers
end
