-- Store tasks for other queues as mail; check the types of its keys before anything is written.
--
-- NEEDS mail mail_bodies now_s now_ns
-- GIVES post posted

redis.call("ZCARD", mail)
redis.call("HLEN", mail_bodies)

local posted = 0

-- Store a task for another queue, to be delivered at once and in this order: ids of equal scores are
-- in the order of their texts. Before its body stands when that was.
local function post(uuid, body)
  posted = posted + 1
  local id = string.format("%s-%06d-%s", now_ns, posted, uuid)
  redis.call("HSET", mail_bodies, id, now_s .. ":" .. body)
  redis.call("ZADD", mail, now_s, id)
end
