-- What the caller still holds, and letting go of it.
--
-- NEEDS active lease each stride is_held
-- GIVES held let_go

-- Return one answer for each task (1 held, 0 lost) and the ids that are held; one that is named
-- twice is held once. Changes nothing, so an error here leaves everything as it was.
local function held()
  redis.call("LLEN", active)
  local ids = {}
  for i = 1, #each, stride do
    ids[#ids + 1] = each[i]
  end
  local ends = redis.call("ZMSCORE", lease, unpack(ids))
  local answers, mine, named = {}, {}, {}
  for n, id in ipairs(ids) do
    answers[n] = 0
    if not named[id] and is_held(id, each[2 + (n - 1) * stride], ends[n]) then
      answers[n] = 1
      mine[#mine + 1] = id
      named[id] = true
    end
  end
  if #mine == 0 then
    redis.call("ZREM", lease, "")  -- a replica refuses, instead of calling lost what it does not know
  end
  return answers, mine
end

-- Take ids out of active and lease. They are oldest first, and the oldest is at the right: most of
-- them stand together at that end, where a few calls take out many.
local function let_go(ids)
  local gone = {}
  for _, id in ipairs(ids) do
    gone[id] = true
  end
  local tail = redis.call("LRANGE", active, -#ids - 32, -1)
  local left = {}
  for _, id in ipairs(tail) do
    if gone[id] then
      gone[id] = nil
    else
      left[#left + 1] = id
    end
  end
  redis.call("LTRIM", active, 0, -#tail - 1)
  if #left > 0 then
    redis.call("RPUSH", active, unpack(left))
  end
  for id in pairs(gone) do
    redis.call("LREM", active, -1, id)
  end
  redis.call("ZREM", lease, unpack(ids))
end
