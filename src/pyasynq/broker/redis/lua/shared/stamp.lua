-- Who holds a task, and until when.
--
-- GIVES stamp

-- What dequeue and extend write into a task's hash: who holds it, and the end of the lease with it.
-- A Go worker writes the lease only; so a token that outlived its lease is known by the other end.
local function stamp(owner, lease_end)
  return owner .. "@" .. lease_end
end
