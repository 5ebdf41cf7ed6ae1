-- Place new tasks: check, take their locks, write them and put them into their containers.
--
-- NEEDS now_ns pending task_prefix scheduled groups group_prefix containers
-- GIVES placement

-- Return two functions: place, for each task, and finish, to be called once after the last task.
-- They are made only if a call needs them, because that takes time. If staged is the key of a list,
-- the tasks wait there, each as an array of the values that add takes, instead of in containers.
local function placement(staged)
  local checked, staging, wrote = {}, {}, false
  local add, fill = containers()

  -- Return Redis' error as text if a key has a wrong type, else false; command must read that type.
  local function type_error(command, key)
    if checked[key] == nil then
      local reply = redis.pcall(command, key)
      checked[key] = type(reply) == "table" and reply.err or false
    end
    return checked[key]
  end

  -- Take a lock; if the new task replaces an aggregation set, also from a task of that set.
  local function take_lock(lock, id, ttl_s, set)
    if redis.call("SET", lock, id, "NX", "EX", ttl_s) then
      return true
    end
    local holder = set and redis.pcall("GET", lock)
    if type(holder) == "string" and redis.call("ZSCORE", set, holder) then
      return redis.call("SET", lock, id, "EX", ttl_s)
    end
    return false
  end

  local function container_error(at_s, group)
    if at_s then
      return type_error("ZCARD", scheduled)
    end
    if group then
      return type_error("SCARD", groups) or type_error("ZCARD", group_prefix .. group)
    end
    return type_error("LLEN", pending)
  end

  -- Write a task's hash, and note its id for a container.
  local function write(id, message, lock, at_s, group)
    local state = at_s and "scheduled" or group and "aggregating" or "pending"
    local fields = {"msg", message, "state", state}
    local function set(name, value)
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
    if lock then
      set("unique_key", lock)
    end
    if group then
      set("group", group)
    end
    if state == "pending" then
      set("pending_since", now_ns)
    end
    if staged then
      staging[#staging + 1] = cmsgpack.pack({ id, at_s, group })
    else
      add(id, at_s, group)
    end
    redis.call("HSET", task_prefix .. id, unpack(fields))
    wrote = true
  end

  -- Create a task, which may replace the aggregation set. Return 1 if it was created, 0 if the id is
  -- taken, -1 if the lock is held, or Redis' error as text if a container has a wrong type.
  local function place(id, message, lock, ttl_s, at_s, group, set)
    local wrong = container_error(at_s, group)
    if wrong then
      return wrong
    end
    if redis.call("EXISTS", task_prefix .. id) == 1 then
      return 0
    end
    if lock and not take_lock(lock, id, ttl_s, set) then
      return -1
    end
    write(id, message, lock, at_s, group)
    return 1
  end

  -- Put the ids of the created tasks where they wait; return whether there are any.
  local function finish()
    if #staging > 0 then
      redis.call("LPUSH", staged, unpack(staging))
    end
    fill()
    return wrote
  end

  return place, finish
end
