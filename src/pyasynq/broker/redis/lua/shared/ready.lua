-- Compute when a group is ready to be combined.
--
-- NEEDS max_size max_delay_s grace_s now_s
-- GIVES ready_at

-- Return the Unix second from which a group is ready, and its size. Without tasks there is no second;
-- if the key has a wrong type, the size is Redis' error. A task came up to 1 s later than its score.
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
