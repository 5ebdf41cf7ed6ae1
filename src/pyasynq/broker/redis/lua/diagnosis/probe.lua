-- Try commands on a key that nothing else uses; whether they may be run is checked here, too.
--
-- KEYS
--   probe  string  deleted by the last of the commands
-- EACH
--   words  table   a command and its arguments; KEY stands for the key
-- RETURNS
--   the error of each command; empty if there is none
-- SOURCE
--   none: asynq has no such command

local errors = {}
for i = 1, #each, stride do
  local words = each[i]
  for j = 1, #words do
    if words[j] == "KEY" then
      words[j] = probe
    end
  end
  local answer = redis.pcall(unpack(words))
  errors[#errors + 1] = type(answer) == "table" and answer.err or ""
end
return errors
