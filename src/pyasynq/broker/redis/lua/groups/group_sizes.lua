-- Count the tasks of some groups.
--
-- KEYS
--   groups        set
-- ARGV
--   group_prefix  str  start of the keys of this queue's groups
--   cursor        str  cursor from the last call; 0 for the first call
--   limit         int  groups to read, approximately
-- RETURNS
--   the next cursor (0 at the end), then name and size of each group
-- SOURCE
--   protocol 8.1 (asynq v0.26.0 internal/rdb/inspect.go groupStatsCmd)

local found = redis.call("SSCAN", groups, cursor, "COUNT", limit)
local answer = { found[1] }
for _, name in ipairs(found[2]) do
  answer[#answer + 1] = name
  answer[#answer + 1] = redis.call("ZCARD", group_prefix .. name)
end
return answer
