-- Find flows that need care. Nobody else gets the same for some seconds.
--
-- USES clock
-- KEYS
--   flows        zset
--   flows_ended  zset
--   flow_timers  zset
-- PRIMARY flows
-- ARGV
--   flow_prefix  str  start of the keys of this queue's flows
--   idle_s       int  seconds without a change after which a flow is idle
--   hold_s       int  seconds until others may get the same timer
--   limit        int  most timers, and most idle flows
-- RETURNS
--   the timers that are over (a number and the id of a flow, with a colon between them); the ids of idle
--   flows
-- SOURCE
--   none: asynq has no flows

redis.call("ZREMRANGEBYSCORE", flows_ended, "-inf", now_s)
local timers, idle = {}, {}
for _, timer in ipairs(redis.call("ZRANGEBYSCORE", flow_timers, "-inf", now_s, "LIMIT", 0, limit)) do
  local number, id = string.match(timer, "^(%-?%d+):(.*)$")
  local found = id and redis.pcall("HMGET", flow_prefix .. id, "state", "marks") or {}
  local open = not found.err and found[1] == "running" and found[2]
  if open and tonumber(number) >= 0 then
    open = string.sub(found[2], number + 1, number + 1) == "r"
  end
  if open then
    redis.call("ZADD", flow_timers, now_s + hold_s, timer)
    timers[#timers + 1] = timer
  else
    redis.call("ZREM", flow_timers, timer)
  end
end
for _, id in ipairs(redis.call("ZRANGEBYSCORE", flows, "-inf", now_s - idle_s, "LIMIT", 0, limit)) do
  if redis.call("EXISTS", flow_prefix .. id) == 1 then
    redis.call("ZADD", flows, now_s, id)
    idle[#idle + 1] = id
  else
    redis.call("ZREM", flows, id)
  end
end
return { timers, idle }
