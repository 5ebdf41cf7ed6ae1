-- Take mail that is due. Nobody else takes it for some seconds.
--
-- USES clock now_ns
-- KEYS
--   mail         zset
--   mail_bodies  hash
-- PRIMARY mail
-- ARGV
--   limit        int   most entries to take
--   max_bytes    int   stop after this number of bytes of bodies
--   hold_s       int   seconds until others may take the same mail
-- RETURNS
--   milliseconds until the next is due (0 if it is due now, -1 if there is none), then id and body of
--   each that was taken
-- SOURCE
--   none: asynq has no mail

local ids = redis.call("ZRANGEBYSCORE", mail, "-inf", now_s, "LIMIT", 0, limit)
local reply, missing, size = { -1 }, {}, 0
for _, id in ipairs(ids) do
  local body = redis.call("HGET", mail_bodies, id)
  if body then
    reply[#reply + 1] = id
    reply[#reply + 1] = body
    size = size + #body
  else
    missing[#missing + 1] = id
  end
  if size >= tonumber(max_bytes) then
    break
  end
end
for i = 2, #reply, 2 do
  redis.call("ZADD", mail, now_s + hold_s, reply[i])
end
if #missing > 0 then
  redis.call("ZREM", mail, unpack(missing))
end
local next_due = redis.call("ZRANGE", mail, 0, 0, "WITHSCORES")
if #next_due > 0 then
  local wait_ms = tonumber(next_due[2]) * 1000 - tonumber(now_ns) / 1000000
  reply[1] = math.max(0, math.ceil(wait_ms))
end
return reply
