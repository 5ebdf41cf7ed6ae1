-- Count the members of batches that have ended, each once, and create the task that follows the last.
--
-- NEEDS batches batch_prefix ended_prefix failed_prefix pending scheduled now_s receivers post
-- GIVES count_members end_batch

local MOST_FAILED = 10000  -- failed members of a batch that are kept by their numbers

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

-- Return the record of a batch, nil if there is none. If a key has a wrong type, this raises an error.
local function read_batch(id)
  local batch, key = counting[id], batch_prefix .. id
  if batch == nil then
    local state, total, left, failed =
      unpack(redis.call("HMGET", key, "state", "total", "left", "failed"))
    redis.call("STRLEN", ended_prefix .. id)
    redis.call("SCARD", failed_prefix .. id)
    redis.call("ZCARD", batches)
    batch = left
      and {
        state = state,
        total = tonumber(total),
        left = tonumber(left),
        failed = tonumber(failed),
      }
    assert(not batch or (batch.total and batch.left and batch.failed), "no numbers in a batch")
    counting[id] = batch or false
    counting_ids[#counting_ids + 1] = id
  end
  return batch
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

function receivers.batch(place, id, _, member, mark, output)
  local batch = read_batch(id)
  if not batch then
    return 0
  end
  local added = mark == "s" and output ~= "" and cmsgpack.unpack(output)
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
  end
  local refused = added and add_members(batch, id, added, place) or 0
  return refused > 0 and -refused or 1
end

-- End a batch: create the task that follows it, with the counts in a header. In protobuf the entry of
-- a map can stand behind all other fields.
local function end_batch(place, id, batch)
  local key = batch_prefix .. id
  local way = batch.failed > 0 and "otherwise" or "then"
  local body, is_here, head, kept_s =
    unpack(redis.call("HMGET", key, way, way .. "_here", "head", "kept_s"))
  local task = body and cmsgpack.unpack(body)
  redis.call("HSET", key, "state", batch.failed > 0 and "failed" or "succeeded", "ended_s", now_s)
  for _, prefix in ipairs({ batch_prefix, ended_prefix, failed_prefix }) do
    redis.call("EXPIRE", prefix .. id, kept_s)
  end
  redis.call("ZADD", batches, now_s + kept_s, id)
  if not task then
    return
  end
  local counts = cjson.encode({ total = batch.total, failed = batch.failed })
  local outcome = head .. "," .. string.sub(counts, 2)
  task[3] = task[3] .. field(122, field(10, "pyasynq:batch") .. field(18, outcome))
  local answer = is_here == "1" and place(unpack(task, 2, 7))
  if type(answer) ~= "number" then
    post(id, cmsgpack.pack(task))
  end
end

-- Write the counts of this call, and end the batches that have no members left.
local function count_members(place)
  for _, id in ipairs(counting_ids) do
    local batch, key = counting[id], batch_prefix .. id
    if batch and batch.changed then
      redis.call("HSET", key, "total", batch.total, "left", batch.left, "failed", batch.failed)
      if batch.left > 0 then
        redis.call("ZADD", batches, now_s, id)
      else
        -- A broken record must not keep other tasks from ending: its batch stays as it is.
        pcall(end_batch, place, id, batch)
      end
    end
  end
end
