-- Read ids of a container in their order.
--
-- NEEDS container listed start limit
-- GIVES read_ids

-- Return up to limit ids from rank start on, the next to run or the lowest score first, and the score
-- of each; a list has no scores.
local function read_ids()
  local ids, scores = {}, {}
  if listed == "1" then
    local found = redis.call("LRANGE", container, -start - limit, -start - 1)
    for n = #found, 1, -1 do
      ids[#ids + 1] = found[n]
    end
  else
    local found = redis.call("ZRANGE", container, start, start + limit - 1, "WITHSCORES")
    for n = 1, #found, 2 do
      ids[#ids + 1] = found[n]
      scores[#ids] = found[n + 1]
    end
  end
  return ids, scores
end
