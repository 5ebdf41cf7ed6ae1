-- Take reports that came by mail to the records of this queue.
--
-- USES clock now_ns containers placement post receive flows flow_reports clear_run_history release_members count_members
-- KEYS
--   pending       list
--   scheduled     zset
--   groups        set
--   mail          zset
--   mail_bodies   hash
--   batches       zset
--   flows         zset
--   flows_ended   zset
--   flow_timers   zset
--   flow_locks    hash
--   archive       zset
-- PRIMARY mail
-- ARGV
--   task_prefix   str    start of the keys of this queue's tasks
--   group_prefix  str    start of the keys of this queue's groups
--   batch_prefix  str    start of the keys of this queue's batches
--   ended_prefix  str    start of the keys of their members that have ended
--   failed_prefix str    start of the keys of their members that have failed
--   outputs_prefix str   start of the keys of the results of members
--   staged_prefix str    start of the keys of members that wait to be released
--   flow_prefix   str    start of the keys of this queue's flows
-- EACH
--   body          array  0, the queue, and the values for receive
-- RETURNS
--   the number of letters that this has posted, then for each report what receive returns; 1 for one that
--   waits as mail here, because this call has done enough
-- SOURCE
--   none: asynq has no such records

local place, finish = placement()
local answers = { 0 }
for i = 1, #each, stride do
  local answer = receive(each[i], place)
  if answer == nil then
    post("again", cmsgpack.pack(each[i]))
  end
  answers[#answers + 1] = answer or 1
end
count_members(place)
finish()
answers[1] = posted
return answers
