-- Look for groups that are to be combined, and forget those that are empty.
--
-- USES clock now_ns ready
-- KEYS
--   groups        set
-- PRIMARY groups
-- ARGV
--   group_prefix  str  start of the keys of this queue's groups
--   cursor        str  where to look on; 0 to begin
--   limit         int  groups to look at, more or less
--   grace_s       int  quiet time after which a group is ripe, seconds
--   max_delay_s   int  age at which it is ripe, seconds; 0 for any
--   max_size      int  size at which it is ripe; 0 for any
-- RETURNS
--   where to look on (0 at the end), milliseconds until the next is ripe (-1 if none waits), names
--   of those that are
-- SOURCE
--   protocol 3.14 (asynq v0.26.0 internal/rdb/rdb.go ListGroups, aggregationCheckCmd); an empty
--   group's name, which there stays, is removed

local page = redis.call("SSCAN", groups, cursor, "COUNT", limit)
local ripe, next_s = {}, nil
for _, name in ipairs(page[2]) do
  local at_s, size = ready_at(group_prefix .. name)
  if at_s and at_s <= now_s then
    ripe[#ripe + 1] = name
  elseif at_s then
    next_s = math.min(next_s or at_s, at_s, now_s + 3600)
  elseif size == 0 then
    redis.call("SREM", groups, name)
  end
end
local next_in_ms = next_s and math.ceil(next_s * 1000 - tonumber(now_ns) / 1000000) or -1
return { page[1], next_in_ms, ripe }
