-- When a group is to be combined.
--
-- NEEDS max_size max_delay_s grace_s now_s
-- GIVES ready_at

-- Return the Unix second from which a group is ripe, and its size; no second if it is empty, and no
-- size either if its key is none of a group. A task came up to a second after its score says.
local function ready_at(group)
  local size = redis.pcall("ZCARD", group)
  if type(size) ~= "number" or size == 0 then
    return nil, size
  end
  if tonumber(max_size) > 0 and size >= tonumber(max_size) then
    return now_s, size
  end
  local newest = redis.call("ZRANGE", group, -1, -1, "WITHSCORES")[2]
  local at_s = tonumber(newest) + 1 + tonumber(grace_s)
  if tonumber(max_delay_s) > 0 then
    local oldest = redis.call("ZRANGE", group, 0, 0, "WITHSCORES")[2]
    at_s = math.min(at_s, tonumber(oldest) + tonumber(max_delay_s))
  end
  return at_s, size
end
