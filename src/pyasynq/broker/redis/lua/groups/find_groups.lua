-- Search the keys of Redis for groups that are not registered, one step at a time.
--
-- All servers share one cursor, so that together they cause the work of one search.
--
-- USES clock register
-- KEYS
--   groups            set
--   aggregation_sets  zset
--   search            hash  cursor of the search, and when the next step may run
-- PRIMARY aggregation_sets
-- ARGV
--   group_prefix      str   start of the keys of this queue's groups
--   pattern           str   the SCAN pattern for keys that begin with group_prefix
--   count             int   keys to read, approximately
--   pause_s           int   time between two steps, seconds
--   rest_s            int   time from the last step of a search to the next search, seconds
-- RETURNS
--   groups registered, seconds until the next step may run
-- SOURCE
--   improves on asynq v0.26.0, where such a group waits until another task joins it (D15, D16)

redis.call("SCARD", groups)
local progress = redis.call("HMGET", search, "cursor", "from_s")
local wait_s = (tonumber(progress[2]) or 0) - now_s
if wait_s > 0 then
  return { 0, wait_s }
end
local found = 0
local page = redis.call("SCAN", progress[1] or "0", "MATCH", pattern, "COUNT", count, "TYPE", "zset")
for _, key in ipairs(page[2]) do
  if register(key) then
    found = found + 1
  end
end
wait_s = page[1] == "0" and tonumber(rest_s) or tonumber(pause_s)
redis.call("HSET", search, "cursor", page[1], "from_s", now_s + wait_s)
redis.call("EXPIRE", search, 3600)
return { found, wait_s }
