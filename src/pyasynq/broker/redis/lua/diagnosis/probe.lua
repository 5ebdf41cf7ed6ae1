-- Try commands on a key that nothing else uses. Redis checks the user's permissions in scripts, too.
--
-- KEYS
--   probe    string  deleted by the last of the commands
-- EACH
--   command  table   its name and arguments; KEY stands for the key
-- RETURNS
--   the error of each command; empty if there is none
-- SOURCE
--   none: asynq has no such command

local errors = {}
for i = 1, #each, stride do
  local command = each[i]
  for j = 1, #command do
    if command[j] == "KEY" then
      command[j] = probe
    end
  end
  local answer = redis.pcall(unpack(command))
  errors[#errors + 1] = type(answer) == "table" and answer.err or ""
end
return errors
