-- Put new tasks where they wait.
--
-- NEEDS pending scheduled groups task_prefix group_prefix now_s now_ns
-- GIVES damage place flush answered

local ready, due, joined = {}, {}, {}
local wrote = false
local checked = {}

-- Return Redis' error, as text, if a key is of a wrong type: a command that reads it says so.
local function damage(command, key)
  if checked[key] == nil then
    local reply = redis.pcall(command, key)
    checked[key] = type(reply) == "table" and reply.err or false
  end
  return checked[key]
end

-- Take a unique lock, also from a task of the staged set that the new task replaces, if there is one.
local function lock_for(id, lock, ttl_s, replaced)
  if redis.call("SET", lock, id, "NX", "EX", ttl_s) then
    return true
  end
  local holder = replaced and redis.pcall("GET", lock)
  if type(holder) == "string" and redis.call("ZSCORE", replaced, holder) then
    return redis.call("SET", lock, id, "EX", ttl_s)
  end
  return false
end

-- Create the hash of a task, with more fields; answer as `place` does.
local function create(task, replaced, state, ...)
  local id, message, lock, ttl_s = task[1], task[2], task[3], task[4]
  local key = task_prefix .. id
  if redis.call("EXISTS", key) == 1 then
    return 0
  end
  wrote = true
  if not lock then
    redis.call("HSET", key, "msg", message, "state", state, ...)
    return 1
  end
  if not lock_for(id, lock, ttl_s, replaced) then
    return -1
  end
  redis.call("HSET", key, "msg", message, "state", state, "unique_key", lock, ...)
  return 1
end

-- Create a task: to wait for its time, in its group, or for a worker, who sees it after `flush`. It
-- may take over the lock of a task in the staged set replaced. Returns 1, or 0 if the id is taken, -1
-- if another task holds the lock, or Redis' error; nothing is written then.
local function place(task, replaced)
  local id, at_s, group = task[1], task[5], task[6]
  local answer
  if at_s then
    answer = damage("ZCARD", scheduled)
      or group and create(task, replaced, "scheduled", "group", group)
      or create(task, replaced, "scheduled")
    if answer == 1 then
      due[#due + 1] = at_s
      due[#due + 1] = id
    end
  elseif group then
    answer = damage("SCARD", groups)
      or damage("ZCARD", group_prefix .. group)
      or create(task, replaced, "aggregating", "group", group)
    if answer == 1 then
      local members = joined[group] or {}
      joined[group] = members
      members[#members + 1] = now_s
      members[#members + 1] = id
    end
  else
    answer = damage("LLEN", pending) or create(task, replaced, "pending", "pending_since", now_ns)
    if answer == 1 then
      ready[#ready + 1] = id
    end
  end
  return answer
end

local function flush()
  if #ready > 0 then
    redis.call("LPUSH", pending, unpack(ready))
  end
  if #due > 0 then
    redis.call("ZADD", scheduled, unpack(due))
  end
  for group, members in pairs(joined) do
    redis.call("ZADD", group_prefix .. group, unpack(members))
    redis.call("SADD", groups, group)
  end
end

-- Return what the caller is told. Where nothing was written, a write that changes nothing has a
-- replica refuse, which may know of tasks that are gone.
local function answered(answers)
  if not wrote then
    redis.call("DEL", task_prefix)
  end
  return answers
end
