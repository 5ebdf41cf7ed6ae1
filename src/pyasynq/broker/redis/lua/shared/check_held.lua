-- Check which tasks the caller still holds.
--
-- NEEDS active lease each stride owns
-- GIVES check_held

-- Return one answer for each task (1 held, 0 lost) and the ids that are held. If an id comes twice,
-- only the first is held. This changes nothing, so an error here leaves everything as it was.
local function check_held()
  redis.call("LLEN", active)
  local ids = {}
  for i = 1, #each, stride do
    ids[#ids + 1] = each[i]
  end
  local ends = redis.call("ZMSCORE", lease, unpack(ids))
  local answers, mine, seen = {}, {}, {}
  for n, id in ipairs(ids) do
    answers[n] = 0
    if not seen[id] and owns(id, each[2 + (n - 1) * stride], ends[n]) then
      answers[n] = 1
      mine[#mine + 1] = id
      seen[id] = true
    end
  end
  if #mine == 0 then
    redis.call("ZREM", lease, "")  -- a replica refuses this write; it may not know the leases yet
  end
  return answers, mine
end
