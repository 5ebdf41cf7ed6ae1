-- Look through Redis for groups that are not registered, a part at a time.
--
-- All servers share one place to look on, so that Redis has the work of one of them.
--
-- USES clock register
-- KEYS
--   groups            set
--   aggregation_sets  zset
--   search            hash  where to look on, and from when
-- PRIMARY aggregation_sets
-- ARGV
--   group_prefix      str   start of the keys of this queue's groups
--   pattern           str   the same, as a pattern for names that begin with it
--   count             int   keys to look at, more or less
--   pause_s           int   time between two parts, seconds
--   rest_s            int   time after the last part until the first, seconds
-- RETURNS
--   groups registered, seconds until the next part may be looked at
-- SOURCE
--   improves on asynq v0.26.0, where such a group waits until a task joins it (D15, D16)

redis.call("SCARD", groups)
local place = redis.call("HMGET", search, "cursor", "from_s")
local wait_s = (tonumber(place[2]) or 0) - now_s
if wait_s > 0 then
  return { 0, wait_s }
end
local found = 0
local page = redis.call("SCAN", place[1] or "0", "MATCH", pattern, "COUNT", count, "TYPE", "zset")
for _, key in ipairs(page[2]) do
  if register(key) then
    found = found + 1
  end
end
wait_s = page[1] == "0" and tonumber(rest_s) or tonumber(pause_s)
redis.call("HSET", search, "cursor", page[1], "from_s", now_s + wait_s)
redis.call("EXPIRE", search, 3600)
return { found, wait_s }
