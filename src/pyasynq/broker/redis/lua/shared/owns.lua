-- Whose a task is.
--
-- NEEDS task_prefix now_s stamp
-- GIVES owns

-- Whether the task with this lease end is held by owner; an empty owner stands for a recoverer,
-- which holds whatever is over.
local function owns(id, owner, lease_end)
  if not lease_end then
    return false
  end
  if owner == "" then
    return tonumber(lease_end) <= now_s
  end
  return redis.pcall("HGET", task_prefix .. id, "owner") == stamp(owner, lease_end)
end
