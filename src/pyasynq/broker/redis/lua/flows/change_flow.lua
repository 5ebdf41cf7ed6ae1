-- Change a flow, unless it has changed since it was read.
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
-- PRIMARY mail
-- ARGV
--   task_prefix   str    start of the keys of this queue's tasks
--   group_prefix  str    start of the keys of this queue's groups
--   flow_prefix   str    start of the keys of this queue's flows
--   id            str    id of the flow
--   version       str    its version when it was read
--   state         str    its new state
--   marks         str    its new marks
--   starts        bytes  numbers of steps that start, an array in MessagePack
-- EACH
--   field         str    a field of the record to set; delete it if the value is empty
--   value         bytes  its value
-- RETURNS
--   the number of letters that this has posted, or -1 if the flow has changed or is gone
-- SOURCE
--   none: asynq has no flows

local flow, wrong = load_flow(id)
if wrong then
  return redis.error_reply(wrong)
end
if not flow or flow.version ~= version then
  return -1
end
for i = 1, #each, stride do
  if each[i + 1] == "" then
    redis.call("HDEL", flow.key, each[i])
  else
    redis.call("HSET", flow.key, each[i], each[i + 1])
  end
end
if state == "running" and flow.state ~= "running" then
  redis.call("HDEL", flow.key, "ended_s", "reason")
  redis.call("PERSIST", flow.key)
  redis.call("ZREM", flows_ended, id)
  flow.ended_s = false
end
flow.state, flow.marks = state, marks
local place, finish = placement()
go_on(place, flow, cmsgpack.unpack(starts), {})
finish()
return posted
