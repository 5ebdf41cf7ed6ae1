-- Create tasks that no worker takes before they are released.
--
-- USES clock now_ns containers placement
-- KEYS
--   batches       zset
--   batch         hash
--   staged        list
--   pending       list
--   scheduled     zset
--   groups        set
-- ARGV
--   task_prefix   str    start of the keys of this queue's tasks
--   group_prefix  str    start of the keys of this queue's groups
--   batch_id      str    id of the batch
--   home          str    queue whose record decides
--   first         int    tasks of this batch that were staged before
-- EACH
--   id            str    task id
--   message       bytes  encoded TaskMessage
--   lock          str    key of the unique lock, or false
--   ttl_s         int    TTL of the lock, seconds, or false
--   at_s          int    when to run, Unix seconds, or false
--   group         str    group to join, at once or when due, or false
-- RETURNS
--   1 if all are staged, else why one was refused: 0 the id is taken, -1 the lock is held, -2 the
--   batch is not at this place, or Redis' error if a key has a wrong type; and the number of these
--   tasks that are staged
-- SOURCE
--   none: asynq has no such tasks

local count, before = #each / stride, tonumber(first)
local state, known = unpack(redis.call("HMGET", batch, "state", "staged"))
known = tonumber(known or 0)
if state == "staging" and count > 0 and known == before + count then
  redis.call("ZREM", batches, "")  -- a replica refuses this write
  return { 1, count }  -- the answer to the first call was lost
end
if known ~= before or (state and state ~= "staging") or (not state and before > 0) then
  redis.call("ZREM", batches, "")
  return { -2, 0 }
end
redis.call("LLEN", staged)
redis.call("ZADD", batches, now_s, batch_id)
local place, finish = placement(staged)
local answer, done = 1, 0
for i = 1, #each, stride do
  answer = place(unpack(each, i, i + 5))
  if answer ~= 1 then
    break
  end
  done = done + 1
end
finish()
redis.call("HSET", batch, "state", "staging", "home", home, "staged", before + done)
return { answer, done }
