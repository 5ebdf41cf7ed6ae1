-- What a task has been through without its handler's doing: fields of its hash that are ours alone.
-- `crashes` counts, in a row, the workers that died with it; `unknown_since` is when it first found a
-- worker that does not know its type, Unix seconds; `to_begin` is the token of a taking of a task
-- that has crashed, until its handler is called: who died before that was not killed by it. That of
-- a dead taking stays, so that a task is excused once, and what kills all who take it is given up.
-- `past_retried` is how many retries were spent when the past was written: a worker that knows nothing
-- of it, one of asynq's for instance, has failed a task since if that has spent others.
--
-- NEEDS now_s to_whole
-- GIVES recall

-- A task with a past keeps the field `owner`, empty while nobody holds it. So whoever takes the task
-- learns without asking whether there is something to ask for.

-- Add to past what the task in this place has been through, if it has: its place, crashes, seconds
-- unknown or -1, and retries spent by then or -1. Its handler has yet to begin.
local function recall(past, place, key, owner)
  local fields = redis.call("HMGET", key, "crashes", "unknown_since", "past_retried")
  local crashes = to_whole(fields[1])
  if crashes > 0 then
    redis.call("HSETNX", key, "to_begin", owner)
  end
  if fields[1] or fields[2] then
    past[#past + 1] = place
    past[#past + 1] = crashes
    past[#past + 1] = fields[2] and math.max(now_s - to_whole(fields[2]), 0) or -1
    past[#past + 1] = fields[3] and to_whole(fields[3]) or -1
  end
end
