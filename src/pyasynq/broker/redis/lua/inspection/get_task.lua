-- Read one task, with its score in the container of its state.
--
-- USES clock
-- KEYS
--   task    hash
--   lease   zset
-- ARGV
--   id      str   task id
--   prefix  str   start of the keys of this queue
-- EACH
--   field   str   a field with the record of a failed try
-- RETURNS
--   nil if there is no task; else message, state, result or nil, group or nil, score or nil,
--   1 if its lease is over or missing, else 0, then the records of its failed tries or nil
-- SOURCE
--   protocol 8.3 (asynq v0.26.0 internal/rdb/inspect.go getTaskInfoCmd)

local fields = redis.call("HMGET", task, "msg", "state", "result", "group", unpack(each))
if not fields[1] then
  return false
end
local state, score = fields[2], false
if state == "aggregating" then
  score = redis.call("ZSCORE", prefix .. "g:" .. (fields[4] or ""), id)
elseif state and state ~= "pending" and state ~= "active" then
  score = redis.call("ZSCORE", prefix .. state, id)
end
local lease_end = redis.call("ZSCORE", lease, id)
local over = not lease_end or tonumber(lease_end) <= now_s
return { fields[1], state, fields[3], fields[4], score, over and 1 or 0, unpack(fields, 5) }
