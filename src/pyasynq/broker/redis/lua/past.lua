-- What a task has been through without its handler's doing: fields of its hash that are ours alone.
-- `crashes` counts, in a row, the workers that died with it; `unknown_since` is when it first found a
-- worker that does not know its type, Unix seconds; `to_begin` is the token of a taking of a task
-- that has crashed, until its handler is called: who died before that was not killed by it. That of
-- a dead taking stays, so that a task is excused once, and what kills all who take it is given up.

-- Return a field as a whole number, 0 if it is none that makes sense.
local function whole(field)
  local number = tonumber(field or 0)
  return number and number > 0 and number < 1e12 and math.floor(number) or 0
end

-- Forget all of it: the task has come to an end of its own.
local function forget(key)
  redis.call("HDEL", key, "owner", "crashes", "unknown_since", "to_begin")
end
