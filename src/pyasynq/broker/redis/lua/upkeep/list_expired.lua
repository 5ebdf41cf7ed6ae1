-- List tasks whose lease is over, and drop leases without a task.
--
-- USES clock stamp to_whole
-- KEYS
--   active       list
--   lease        zset
-- PRIMARY lease
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   margin_s     int   more time until a Go worker's lease counts as over, seconds: clocks differ
--   limit        int   most tasks to list
--   max_bytes    int   stop once the messages have this number of bytes
-- RETURNS
--   for each: id, message, crashes (-1 if it has some and its handler was not called this time), and
--   retries when the last crash was counted or -1
-- SOURCE
--   protocol 3.15 (asynq v0.26.0 internal/rdb/rdb.go listLeaseExpiredCmd); decodes each message by
--   itself, so that a broken one hides no other (D27)

local reply, left, missing = {}, tonumber(max_bytes), 0
local expired = redis.call("ZRANGEBYSCORE", lease, "-inf", now_s, "WITHSCORES", "LIMIT", 0, limit * 8)
for n = 1, #expired, 2 do
  local id, lease_end = expired[n], expired[n + 1]
  local key = task_prefix .. id
  local fields = redis.pcall("HMGET", key, "msg", "owner", "crashes", "to_begin", "past_retried")
  local is_ours = fields[2] and fields[2]:sub(-#lease_end - 1) == stamp("", lease_end)
  if not fields[1] then
    missing = missing + 1  -- limited, because each LREM searches all of active
    redis.call("LREM", active, 0, id)
    redis.call("ZREM", lease, id)
  elseif is_ours or tonumber(lease_end) <= now_s - margin_s then
    reply[#reply + 1] = id
    reply[#reply + 1] = fields[1]
    local started = not fields[4] or fields[2] ~= stamp(fields[4], lease_end)
    reply[#reply + 1] = started and to_whole(fields[3]) or -1
    reply[#reply + 1] = fields[5] and to_whole(fields[5]) or -1
    left = left - #fields[1]
  end
  if #reply >= limit * 4 or left <= 0 or missing >= tonumber(limit) then
    break
  end
end
return reply
