-- Move ids from one sorted set to another.
--
-- GIVES move_lowest

-- Move up to most ids, lowest scores first, with their scores; return their number.
local function move_lowest(source, target, most)
  local lowest = redis.call("ZRANGE", source, 0, most - 1, "WITHSCORES")
  local scored = {}
  for i = 1, #lowest, 2 do
    scored[i], scored[i + 1] = lowest[i + 1], lowest[i]
  end
  redis.call("ZREMRANGEBYRANK", source, 0, #lowest / 2 - 1)
  redis.call("ZADD", target, unpack(scored))
  return #lowest / 2
end
