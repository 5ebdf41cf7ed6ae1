-- Create the tasks that follow tasks which have just ended. This runs after the script that has ended
-- them, in the same call and with its answers; see `Script`.
--
-- USES now_ns containers placement post
-- KEYS
--   pending       list
--   scheduled     zset
--   groups        set
--   mail          zset
--   mail_bodies   hash
-- ARGV
--   group_prefix  str    start of the keys of this queue's groups
--   following     bytes  MessagePack; for each new task: the position of the task that it follows
--                        (from 1), a UUID for its mail, whether it is for this queue, and its body: an
--                        array in MessagePack of its queue and the first six values of create's EACH
-- RETURNS
--   the answers, then for each new task that was refused: its position (from 1), and 0 if its id is
--   taken or -1 if its lock is held
-- SOURCE
--   none: asynq has no such tasks

local entries, refused = cmsgpack.unpack(following), {}
local place, finish = placement()
for i = 1, #entries, 4 do
  local position, uuid, is_here, body = unpack(entries, i, i + 3)
  if answers[position] == 1 then
    local answer = is_here and place(unpack(cmsgpack.unpack(body), 2, 7))
    -- A task whose container has a wrong type waits as mail: it must not keep others from ending.
    if type(answer) ~= "number" then
      post(uuid, body)
    elseif answer ~= 1 then
      refused[#refused + 1] = (i + 3) / 4
      refused[#refused + 1] = answer
    end
  end
end
finish()
for _, value in ipairs(refused) do
  answers[#answers + 1] = value
end
return answers
