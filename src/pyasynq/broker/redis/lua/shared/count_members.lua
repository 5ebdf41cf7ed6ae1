-- Count the members of batches that have ended, each once, and create the task that follows the last.
--
-- NEEDS batches batch_prefix ended_prefix failed_prefix outputs_prefix staged_prefix pending scheduled groups archive now_s receivers receive post release_members
-- GIVES read_batch count_members end_batch run_failed

local MOST_FAILED = 10000  -- failed members of a batch that are kept by their numbers
local MOST_OUTPUT = 16777216  -- bytes of the results of a batch that are kept, all together
local RELEASED = 1000  -- members that one call releases

local counting, counting_ids = {}, {}  -- the batches that this call counts in

local function varint(n)
  local text = ""
  while n > 127 do
    text = text .. string.char(n % 128 + 128)
    n = math.floor(n / 128)
  end
  return text .. string.char(n)
end

local function field(tag, text)
  return string.char(tag) .. varint(#text) .. text
end

-- Raise an error if a key that a batch needs has a wrong type.
local function check_types(id, batch)
  redis.call("STRLEN", ended_prefix .. id)
  redis.call("SCARD", failed_prefix .. id)
  redis.call("ZCARD", batches)
  if batch.bytes then
    redis.call("HLEN", outputs_prefix .. id)
  end
  if batch.releases or batch.state == "waiting" or batch.state == "failed" then
    redis.call("LLEN", staged_prefix .. id)
    redis.call("ZCARD", archive)
    redis.call("LLEN", pending)
    redis.call("ZCARD", scheduled)
    redis.call("SCARD", groups)
  end
end

-- Return the record of a batch, nil if there is none. If a key has a wrong type, this raises an error.
-- times is how often its failed members ran again, bytes the size of the kept results (false if none
-- are kept), and releases tells that members wait until others have ended.
local function read_batch(id)
  if counting[id] == nil then
    local found = redis.call(
      "HMGET",
      batch_prefix .. id,
      "state",
      "total",
      "left",
      "failed",
      "times",
      "bytes",
      "releases",
      "cancelled",
      "numbers"
    )
    local batch = found[3] and { state = found[1], releases = found[7], cancelled = found[8] }
    if batch then
      batch.total, batch.left, batch.failed = tonumber(found[2]), tonumber(found[3]), tonumber(found[4])
      batch.times, batch.bytes = tonumber(found[5] or 0), found[6] and tonumber(found[6])
      batch.numbers = tonumber(found[9] or batch.total)
      assert(batch.total and batch.left and batch.failed and batch.times, "no numbers in a batch")
      check_types(id, batch)
    end
    counting[id] = batch or false
    counting_ids[#counting_ids + 1] = id
  end
  return counting[id]
end

-- Create members that the handler of another member has added; return how many were refused. They
-- are in an array, each as its number and the first six arguments of place.
local function add_members(batch, id, added, place)
  local refused = 0
  for i = 1, #added, 7 do
    if place(unpack(added, i + 1, i + 6)) == 1 then
      redis.call("SETBIT", ended_prefix .. id, added[i], 0)
      batch.total = batch.total + 1
      batch.left = batch.left + 1
    else
      refused = refused + 1
    end
  end
  return refused
end

-- Keep the result of a member, unless all results together are too large.
local function keep_output(batch, id, member, output)
  batch.bytes = batch.bytes + #output
  if batch.bytes <= MOST_OUTPUT then
    redis.call("HSET", outputs_prefix .. id, member, output)
  end
end

-- Have the failed members of a batch that has ended run again; return how many. They wait as staged
-- tasks, each with its number.
local function run_failed(id, batch)
  local numbers = redis.call("SMEMBERS", failed_prefix .. id)
  table.sort(numbers, function(one, other)
    return tonumber(one) < tonumber(other)
  end)
  for _, number in ipairs(numbers) do
    local task = cmsgpack.pack({ id .. ":" .. number, false, false, tonumber(number) })
    redis.call("LPUSH", staged_prefix .. id, task)
  end
  redis.call("DEL", failed_prefix .. id)
  batch.failed, batch.left = batch.failed - #numbers, batch.left + #numbers
  batch.state, batch.releases, batch.changed = "running", "1", true
  local key = batch_prefix .. id
  redis.call("HSET", key, "state", "running", "releases", 1, "swept", 0, "times", batch.times)
  redis.call("HDEL", key, "ended_s")
  for _, prefix in ipairs({ batch_prefix, ended_prefix, outputs_prefix }) do
    redis.call("PERSIST", prefix .. id)
  end
  return #numbers
end

-- Tell the flow of a map how the map has ended.
local function report_to_flow(place, id, batch, parent, is_here)
  local of, mark, problem = cjson.decode(parent), "f", "its batch was cancelled"
  if not batch.cancelled and batch.failed > 0 then
    problem = string.format("%d of %d tasks have failed", batch.failed, batch.total)
  elseif not batch.cancelled and (batch.bytes or 0) > MOST_OUTPUT then
    problem = string.format("the results have %d bytes; a map keeps %d", batch.bytes, MOST_OUTPUT)
  elseif not batch.cancelled then
    mark, problem = "s", ""
  end
  local body = { 0, of[2], of[1], of[3], of[4], batch.times, mark, "", problem }
  local answer = is_here == "1" and receivers.flow and receive(body, place)
  if type(answer) ~= "number" then
    post(id, cmsgpack.pack(body))
  end
end

-- Create the task that follows a batch, with the counts in a header. In protobuf a field that stands
-- behind the others replaces an earlier one, and an entry of a map is added to it.
local function follow(place, id, batch, task, is_here, head)
  local counts = cjson.encode({ total = batch.total, failed = batch.failed })
  local outcome = head .. "," .. string.sub(counts, 2)
  task[3] = task[3] .. field(122, field(10, "pyasynq:batch") .. field(18, outcome))
  if batch.times > 0 then
    task[2] = task[2] .. ":" .. batch.times
    task[3] = task[3] .. field(26, task[2])
  end
  local answer = is_here == "1" and place(unpack(task, 2, 7))
  if type(answer) ~= "number" then
    post(id, cmsgpack.pack(task))
  end
end

-- End a batch: write its state, and do what follows. The record of a map is kept as long as its flow.
local function end_batch(place, id, batch)
  local key = batch_prefix .. id
  local is_lost = batch.failed > 0 or (batch.bytes or 0) > MOST_OUTPUT
  local way = is_lost and "otherwise" or "then"
  local names = { way, way .. "_here", "head", "kept_s", "parent", "parent_here" }
  local body, is_here, head, kept_s, parent, parent_here = unpack(redis.call("HMGET", key, unpack(names)))
  local task = body and cmsgpack.unpack(body)  -- if it cannot be read, nothing is written
  batch.state = batch.cancelled and "cancelled" or is_lost and "failed" or "succeeded"
  redis.call("HSET", key, "state", batch.state, "ended_s", now_s)
  redis.call("ZADD", batches, now_s + kept_s, id)
  if parent then
    report_to_flow(place, id, batch, parent, parent_here)
    return
  end
  for _, prefix in ipairs({ batch_prefix, ended_prefix, failed_prefix }) do
    redis.call("EXPIRE", prefix .. id, kept_s)
  end
  if task and not batch.cancelled then
    follow(place, id, batch, task, is_here, head)
  end
end

-- Let the tasks of a map run, when its flow says so; times is how often the map was retried. If it
-- has ended otherwise, the flow gets the same report again.
local function begin_map(place, id, batch, times)
  local key = batch_prefix .. id
  if batch.state ~= "waiting" and batch.times >= times then
    return
  end
  batch.times = times
  if batch.state == "waiting" then
    batch.state, batch.releases, batch.changed = "running", "1", true
    redis.call("HSET", key, "state", "running", "releases", 1, "times", times)
  elseif batch.state == "failed" then
    run_failed(id, batch)
  elseif batch.state ~= "running" then
    redis.call("HSET", key, "times", times)
    local parent, is_here = unpack(redis.call("HMGET", key, "parent", "parent_here"))
    report_to_flow(place, id, batch, parent, is_here)
  end
end

-- Take the report of a member; or, from a flow, that the batch may begin.
function receivers.batch(place, id, _, member, mark, output)
  local batch = read_batch(id)
  if not batch then
    return 0
  end
  if mark == "r" then
    begin_map(place, id, batch, member)
    return 1
  end
  if member < 0 or member >= batch.numbers then
    return 1  -- no number of this batch: a bit for it might take all memory
  end
  local added = not batch.bytes and mark == "s" and output ~= "" and cmsgpack.unpack(output)
  if added then
    redis.call("LLEN", pending)
    redis.call("ZCARD", scheduled)
  end
  if batch.state ~= "running" or redis.call("SETBIT", ended_prefix .. id, member, 1) == 1 then
    return 1
  end
  batch.changed = true
  batch.left = batch.left - 1
  if mark == "f" then
    batch.failed = batch.failed + 1
    if batch.failed <= MOST_FAILED then
      redis.call("SADD", failed_prefix .. id, member)
    end
  elseif batch.bytes and output ~= "" then
    keep_output(batch, id, member, output)
  end
  local refused = added and add_members(batch, id, added, place) or 0
  return refused > 0 and -refused or 1
end

-- Write the counts of this call, release more members, and end the batches that have none left.
local function count_members(place)
  for _, id in ipairs(counting_ids) do
    local batch, key = counting[id], batch_prefix .. id
    if batch and batch.changed then
      if batch.releases and release_members(id, RELEASED, batch) < RELEASED then
        redis.call("HDEL", key, "releases")
      end
      redis.call("HSET", key, "total", batch.total, "left", batch.left, "failed", batch.failed)
      if batch.bytes then
        redis.call("HSET", key, "bytes", batch.bytes)
      end
      if batch.left > 0 then
        redis.call("ZADD", batches, now_s, id)
      else
        -- A broken record must not keep other tasks from ending: its batch stays as it is.
        pcall(end_batch, place, id, batch)
      end
    end
  end
end
