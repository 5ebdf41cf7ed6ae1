-- Read flows.
--
-- KEYS
--   flows        zset
-- PRIMARY flows
-- ARGV
--   flow_prefix  str  start of the keys of this queue's flows
-- EACH
--   id           str  id of a flow
-- RETURNS
--   for each flow that exists: its id; spec, state, marks, version, created_s, ended_s, reason and how
--   often its parent was retried; an array of the numbers of failed steps, each with its error; and one
--   of the numbers of retried steps, each with how often. If its key has a wrong type, or it has no
--   steps, only its id
-- SOURCE
--   none: asynq has no flows

local reply = {}
for _, id in ipairs(each) do
  local key = flow_prefix .. id
  local names = { "spec", "state", "marks", "version", "created_s", "ended_s", "reason", "t:-1" }
  local found = redis.pcall("HMGET", key, unpack(names))
  if found.err or (not (found[1] and found[3]) and redis.call("EXISTS", key) == 1) then
    reply[#reply + 1] = { id }
  elseif found[1] then
    local errors, times = {}, {}
    local retried = redis.call("HEXISTS", key, "retried") == 1
    for number = 0, #found[3] - 1 do
      local problem = string.sub(found[3], number + 1, number + 1) == "f"
        and redis.call("HGET", key, "e:" .. number)
      if problem then
        errors[#errors + 1] = number
        errors[#errors + 1] = problem
      end
      local count = retried and redis.call("HGET", key, "t:" .. number)
      if count then
        times[#times + 1] = number
        times[#times + 1] = tonumber(count)
      end
    end
    reply[#reply + 1] = { id, found, errors, times }
  end
end
return reply
