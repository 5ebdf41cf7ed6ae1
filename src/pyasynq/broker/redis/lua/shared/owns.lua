-- Check who holds a task.
--
-- NEEDS task_prefix now_s stamp
-- GIVES owns

-- Return whether owner holds the task with this lease end. An empty owner is a recoverer, which holds
-- every task whose lease is over.
local function owns(id, owner, lease_end)
  if not lease_end then
    return false
  end
  if owner == "" then
    return tonumber(lease_end) <= now_s
  end
  return redis.pcall("HGET", task_prefix .. id, "owner") == stamp(owner, lease_end)
end
