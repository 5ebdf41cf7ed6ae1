-- Find the groups that are ready to be combined, unless another server does so; unregister empty ones.
--
-- USES clock now_ns hold ready
-- KEYS
--   holder        string  id of the server that combines groups
--   groups        set
-- PRIMARY groups
-- ARGV
--   owner         str  id of the caller's server
--   hold_s        int  time until another server may combine groups, seconds
--   group_prefix  str  start of the keys of this queue's groups
--   cursor        str  cursor from the last call; 0 for the first call
--   limit         int  groups to read, approximately
--   grace_s       int  time without a new task after which a group is ready, seconds
--   max_delay_s   int  age of the oldest task at which it is ready, seconds; 0 for no limit
--   max_size      int  number of tasks at which it is ready; 0 for no limit
-- RETURNS
--   milliseconds for which another server combines groups (-1: none does), the next cursor (0 at the
--   end), milliseconds until another group is ready (-1 if none waits),
--   names of the ready groups
-- SOURCE
--   protocol 3.14 (asynq v0.26.0 internal/rdb/rdb.go ListGroups, aggregationCheckCmd); removes the
--   name of an empty group, which asynq keeps

local left_ms = held_elsewhere_ms()
if left_ms then
  return { left_ms, "0", -1, {} }
end
local page = redis.call("SSCAN", groups, cursor, "COUNT", limit)
local ready, next_s = {}, nil
for _, name in ipairs(page[2]) do
  local at_s, size = ready_at(group_prefix .. name)
  if at_s and at_s <= now_s then
    ready[#ready + 1] = name
  elseif at_s then
    next_s = math.min(next_s or at_s, at_s, now_s + 3600)
  elseif size == 0 then
    redis.call("SREM", groups, name)
  end
end
local next_in_ms = next_s and math.ceil(next_s * 1000 - tonumber(now_ns) / 1000000) or -1
return { -1, page[1], next_in_ms, ready }
