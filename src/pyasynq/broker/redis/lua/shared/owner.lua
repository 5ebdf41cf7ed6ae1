-- Who holds a task.
--
-- NEEDS task_prefix now_s
-- GIVES stamp is_held

-- What dequeue and extend write into a task's hash: who holds it, and the end of the lease with it.
-- A Go worker writes the lease only; so a token that outlived its lease is known by the other end.
local function stamp(owner, lease_end)
  return owner .. "@" .. lease_end
end

-- Whether the task with this lease end is held by owner; an empty owner stands for a recoverer,
-- which holds whatever is over.
local function is_held(id, owner, lease_end)
  if not lease_end then
    return false
  end
  if owner == "" then
    return tonumber(lease_end) <= now_s
  end
  return redis.pcall("HGET", task_prefix .. id, "owner") == stamp(owner, lease_end)
end
