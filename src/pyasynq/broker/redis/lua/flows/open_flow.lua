-- Store a flow and start its first steps.
--
-- USES clock now_ns containers placement post flows
-- KEYS
--   pending       list
--   scheduled     zset
--   groups        set
--   mail          zset
--   mail_bodies   hash
--   flows         zset
--   flows_ended   zset
--   flow_timers   zset
--   flow_locks    hash
-- ARGV
--   task_prefix   str    start of the keys of this queue's tasks
--   group_prefix  str    start of the keys of this queue's groups
--   flow_prefix   str    start of the keys of this queue's flows
--   id            str    id of the flow
--   starts        bytes  numbers of these steps, an array in MessagePack
--   name          str    its name
--   unique_s      int    seconds for which no other flow of this name may be opened, or 0
--   timeout_s     int    seconds after which the flow is cancelled, or 0
-- EACH
--   field         str    a field of the record
--   value         bytes  its value
-- RETURNS
--   the number of letters that this has posted, or -1 if the flow is stored already; or the id of
--   another flow of this name that runs
-- SOURCE
--   none: asynq has no flows

local _, wrong = load_flow(id)
if wrong then
  return redis.error_reply(wrong)
end
local key = flow_prefix .. id
if redis.call("EXISTS", key) == 1 then
  redis.call("ZREM", flows, "")  -- a replica refuses this write; the flow may be gone by now
  return -1
end
if tonumber(unique_s) > 0 then
  local ends_s, holder = lock_of(name)
  if ends_s and ends_s > now_s then
    return holder
  end
  redis.call("HSET", flow_locks, name, now_s + unique_s .. ":" .. id)
  redis.call("HSET", key, "lock", name)
end
for i = 1, #each, 1000 do
  redis.call("HSET", key, unpack(each, i, math.min(i + 999, #each)))
end
redis.call("HSET", key, "created_s", now_s)
if tonumber(timeout_s) > 0 then
  redis.call("ZADD", flow_timers, now_s + timeout_s, "-1:" .. id)
end
local place, finish = placement()
go_on(place, load_flow(id), cmsgpack.unpack(starts), {})
finish()
return posted
