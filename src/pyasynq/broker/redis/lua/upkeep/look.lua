-- Hold the upkeep of a queue, unless another server does, and list the jobs that are due.
--
-- A job whose keys cannot be read is due, too: it then reports the error itself.
--
-- USES clock now_ns hold
-- KEYS
--   holder            string  id of the server that holds the upkeep
--   scheduled         zset
--   retry             zset
--   active            list
--   lease             zset
--   completed         zset
--   archived          zset
--   mail              zset
--   aggregation_sets  zset
--   search            hash    progress of the search for groups
--   flows             zset
--   flows_ended       zset
--   flow_timers       zset
--   batches           zset
-- ARGV
--   owner             str     id of the caller's server
--   hold_s            int     time until another server may hold it, seconds
--   archive_s         int     TTL of an archived task, seconds
--   most_archived     int     tasks that the archive keeps
--   flow_idle_s       int     seconds without a change after which a flow is idle
--   batch_idle_s      int     seconds without a change after which a batch is idle
-- RETURNS
--   milliseconds for which another server holds it (-1: none does), milliseconds until a job will be
--   due that is not (-1: not known), then the names of the jobs that are due now
-- SOURCE
--   none: in asynq every server does the upkeep

local left_ms = held_elsewhere_ms()
if left_ms then
  return { left_ms, -1 }
end

local reply, next_s = { -1, -1 }, now_s + 3600

-- Return whether the lowest score is in the past, and note the lowest that is not.
local function is_due(key)
  local lowest = redis.pcall("ZRANGE", key, 0, 0, "WITHSCORES")
  if lowest.err then
    return true
  end
  local due = #lowest > 0 and tonumber(lowest[2]) <= now_s
  if due then
    lowest = redis.call("ZRANGEBYSCORE", key, "(" .. now_s, "+inf", "WITHSCORES", "LIMIT", 0, 1)
  end
  if #lowest > 0 then
    next_s = math.min(next_s, tonumber(lowest[2]))
  end
  return due
end

-- Return whether the lowest score is at least this number of seconds old.
local function is_old(key, seconds)
  local lowest = redis.pcall("ZRANGE", key, 0, 0, "WITHSCORES")
  return lowest.err or (#lowest > 0 and tonumber(lowest[2]) <= now_s - seconds)
end

-- Return the answer to a command that counts; false if the key has a wrong type.
local function count(command, key)
  local found = redis.pcall(command, key)
  return type(found) == "number" and found
end

local function add_if(name, due)
  if due then
    reply[#reply + 1] = name
  end
end

-- Return whether a task is archived for too long, or too many are.
local function is_archive_over()
  local size = count("ZCARD", archived)
  if not size or size == 0 then
    return not size
  end
  local oldest = redis.call("ZRANGE", archived, 0, 0, "WITHSCORES")[2]
  return size > tonumber(most_archived) or tonumber(oldest) <= now_s - archive_s
end

local is_scheduled_due, is_retry_due = is_due(scheduled), is_due(retry)
add_if("forward", is_scheduled_due or is_retry_due)
-- Every script writes active and lease together, so they differ in size only after one has failed.
add_if("recover", is_due(lease) or count("LLEN", active) ~= count("ZCARD", lease))
add_if("trim", is_due(completed) or is_archive_over())
add_if("deliver", is_due(mail))
local search_from = tonumber(redis.pcall("HGET", search, "from_s"))
add_if("reclaim", is_due(aggregation_sets) or not search_from or search_from <= now_s)
local is_over = is_due(flow_timers)
add_if("look_after", is_over or is_old(flows, flow_idle_s) or is_old(flows_ended, 0))
add_if("repair", is_old(batches, batch_idle_s))
reply[2] = math.max(1, math.ceil(next_s * 1000 - tonumber(now_ns) / 1000000))
return reply
