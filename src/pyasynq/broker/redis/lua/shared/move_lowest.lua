-- Move members from one sorted set to another.
--
-- GIVES move_lowest

-- Move up to most members, lowest scores first, with their scores; return their number.
local function move_lowest(source, target, most)
  local members = redis.call("ZRANGE", source, 0, most - 1, "WITHSCORES")
  local scored = {}
  for i = 1, #members, 2 do
    scored[i], scored[i + 1] = members[i + 1], members[i]
  end
  redis.call("ZREMRANGEBYRANK", source, 0, #members / 2 - 1)
  redis.call("ZADD", target, unpack(scored))
  return #members / 2
end
