-- Build the stamp of a task: who holds it, and until when.
--
-- GIVES stamp

-- Return the value that dequeue and extend_leases write into the field owner: owner token and lease
-- end. Go workers write only the lease, so a stamp with another lease end is old.
local function stamp(owner, lease_end)
  return owner .. "@" .. lease_end
end
