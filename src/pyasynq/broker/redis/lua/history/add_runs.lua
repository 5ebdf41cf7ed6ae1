-- Add counts of runs to the present minute, and to the present ten minutes.
--
-- USES clock
-- KEYS
--   runs_prefix  none   start of the keys of this queue's counts; not a key, but in their slot
-- ARGV
--   most         int    types that a span keeps one by one
--   other        str    field for all other types
--   minute_s     int    length of a short span, seconds
--   minute_ttl   int    TTL of its counts, seconds
--   ten_s        int    length of a long span, seconds
--   ten_ttl      int    TTL of its counts, seconds
-- EACH
--   type         str    type of tasks
--   counts       array  what to add: each number after its place, from 1
-- RETURNS
--   1
-- SOURCE
--   none: asynq has no such history

-- Return stored numbers plus others; each number follows its place. So short a list of them fits into
-- the compact form of a hash. Stored ones that cannot be read are replaced.
local function sum(stored, pairs_added)
  local sound, known = pcall(cmsgpack.unpack, stored or "")
  local numbers, answer = {}, {}
  for _, list in ipairs({ sound and type(known) == "table" and known or {}, pairs_added }) do
    for n = 1, #list - 1, 2 do
      numbers[list[n]] = (numbers[list[n]] or 0) + list[n + 1]
    end
  end
  for place, number in pairs(numbers) do
    answer[#answer + 1] = place
    answer[#answer + 1] = number
  end
  return answer
end

for _, span in ipairs({ { minute_s, minute_ttl }, { ten_s, ten_ttl } }) do
  local length = tonumber(span[1])
  local key = runs_prefix .. length .. ":" .. string.format("%d", now_s - now_s % length)
  redis.call("HDEL", key, "")  -- a replica refuses this write; its counts may be old
  for i = 1, #each, stride do
    local name = each[i]
    local stored = redis.call("HGET", key, name)
    if not stored and redis.call("HLEN", key) >= tonumber(most) then
      name = other
      stored = redis.call("HGET", key, name)
    end
    redis.call("HSET", key, name, cmsgpack.pack(sum(stored, each[i + 1])))
  end
  redis.call("EXPIRE", key, span[2])
end
return 1
