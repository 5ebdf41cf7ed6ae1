-- Read mail without taking it; the next to be delivered comes first.
--
-- KEYS
--   mail         zset
--   mail_bodies  hash
-- ARGV
--   start        int   entries to skip
--   limit        int   most entries to return
--   max_bytes    int   stop after this number of bytes of bodies
-- RETURNS
--   for each: id and body
-- SOURCE
--   none: asynq has no mail

local reply, size = {}, 0
for _, id in ipairs(redis.call("ZRANGE", mail, start, start + limit - 1)) do
  local body = redis.call("HGET", mail_bodies, id)
  if body then
    reply[#reply + 1] = id
    reply[#reply + 1] = body
    size = size + #body
  end
  if size >= tonumber(max_bytes) then
    break
  end
end
return reply
