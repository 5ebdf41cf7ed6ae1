-- Carry out what follows tasks which have just ended: create tasks, and take reports to records. This
-- runs after the script that has ended them, in the same call and with its answers; see `Script`.
--
-- USES now_ns containers placement post receive flows flow_reports clear_run_history release_members count_members
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
--   batches       zset
--   archive       zset
-- ARGV
--   group_prefix  str    start of the keys of this queue's groups
--   batch_prefix  str    start of the keys of this queue's batches
--   ended_prefix  str    start of the keys of their members that have ended
--   failed_prefix str    start of the keys of their members that have failed
--   outputs_prefix str   start of the keys of the results of members
--   staged_prefix str    start of the keys of members that wait to be released
--   flow_prefix   str    start of the keys of this queue's flows
--   following     bytes  MessagePack; for each entry: the position of the task that it follows (from
--                        1), a UUID for its mail, whether it is for this queue, and its body in
--                        MessagePack: for a new task an array of its queue and the first six values of
--                        create's EACH, for a report of 0, its queue, and the values for receive
-- RETURNS
--   the answers, then for each entry that was refused, all of it or in part: its position (from 1), and
--   for a task 0 if its id is taken, -1 if its lock is held; for a report what receive returns
-- SOURCE
--   none: asynq has no such tasks

local entries, refused = cmsgpack.unpack(following), {}
local place, finish = placement()

-- Carry out an entry of this queue; return 1, the code of a refusal, or Redis' error as text.
local function carry_out(body)
  local values = cmsgpack.unpack(body)
  if values[1] == 0 then
    return receive(values, place)
  end
  return place(unpack(values, 2, 7))
end

for i = 1, #entries, 4 do
  local position, uuid, is_here, body = unpack(entries, i, i + 3)
  if answers[position] == 1 then
    local answer = is_here and carry_out(body)
    -- What meets a key of a wrong type waits as mail: it must not keep others from ending. So does a
    -- report for which this call has no time.
    if type(answer) ~= "number" then
      post(uuid, body)
    elseif answer ~= 1 then
      refused[#refused + 1] = (i + 3) / 4
      refused[#refused + 1] = answer
    end
  end
end
count_members(place)
finish()
for _, value in ipairs(refused) do
  answers[#answers + 1] = value
end
return answers
