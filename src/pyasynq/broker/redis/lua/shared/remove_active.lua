-- Remove tasks from active and their leases.
--
-- NEEDS active lease take_from_tail
-- GIVES remove_active

local function remove_active(ids)
  local found = take_from_tail(active, ids, 0)  -- an LREM costs less than to read more of the list
  for _, id in ipairs(ids) do
    if not found[id] then
      redis.call("LREM", active, -1, id)
    end
  end
  redis.call("ZREM", lease, unpack(ids))
end
