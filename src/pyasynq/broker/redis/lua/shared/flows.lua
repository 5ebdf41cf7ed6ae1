-- Keep the records of flows, and take them on when steps end. See core.flow, which does the same.
--
-- NEEDS flow_prefix flows flows_ended flow_timers flow_locks now_s post
-- GIVES load_flow mark_of set_mark node_of lock_of go_on work

-- A record is a hash. Its fields: spec, what never changes, which only Python reads; state; marks, a
-- letter for each step (w waiting, r running, s succeeded, f failed, u upstream failed, x skipped);
-- version; created_s, ended_s; keep_s, keep_failed_s; reason; lock, its name if no other flow may have
-- that; parent, the place of the step that it is, in JSON; t:-1, how often that was retried. And for each
-- step, by its number:
--   n:  MessagePack: when, the steps before it, the steps after it, whether it is a gate, whether its
--       task is for this queue, and the seconds of its delay, or for which a gate waits; for a map
--       also the id of its batch, and its queue
--   b:  body of its task (see continued)
--   o:  its output, e: why it has failed, t: how often it was retried

local FIELDS = { "state", "marks", "version", "ended_s", "keep_s", "keep_failed_s", "lock", "parent" }

local wrong_key  -- Redis' error if a key that all flows share has a wrong type, else false

local function find_wrong_key()
  for key, command in pairs({ [flows] = "ZCARD", [flows_ended] = "ZCARD", [flow_timers] = "ZCARD", [flow_locks] = "HLEN" }) do
    local size = redis.pcall(command, key)
    if type(size) == "table" then
      return size.err
    end
  end
  return false
end

-- Return the flow as a table; or nil, and Redis' error if a key has a wrong type.
local function load_flow(id)
  if wrong_key == nil then
    wrong_key = find_wrong_key()
  end
  if wrong_key then
    return nil, wrong_key
  end
  local flow = { id = id, key = flow_prefix .. id, nodes = {} }
  local found = redis.pcall("HMGET", flow.key, unpack(FIELDS))
  if found.err then
    return nil, found.err
  end
  for n, field in ipairs(FIELDS) do
    flow[field] = found[n]
  end
  if not flow.marks then
    return nil
  end
  return flow
end

local function mark_of(flow, number)
  return string.sub(flow.marks, number + 1, number + 1)
end

local function set_mark(flow, number, mark)
  flow.marks = string.sub(flow.marks, 1, number) .. mark .. string.sub(flow.marks, number + 2)
end

local work = 0  -- what this call has done; a task that starts is one, as are some 50 edges

local function node_of(flow, number)
  local node = flow.nodes[number]
  if not node then
    local found = redis.call("HMGET", flow.key, "n:" .. number, "t:" .. number)
    node = cmsgpack.unpack(found[1])
    node.times = tonumber(found[2] or 0)
    node.ended = 0  -- how many steps before it, in their order, are known to have ended in this call
    flow.nodes[number] = node
    work = work + (#node[2] + #node[3]) / 50
  end
  return node
end

-- Return the mark of a step that waits: r if it may start, else why it does not.
local function mark_for(flow, node)
  for n = node.ended + 1, #node[2] do
    local mark = mark_of(flow, node[2][n])
    if mark == "w" or mark == "r" then
      return "w"
    end
    node.ended = n
    node.lost = node.lost or mark == "f" or mark == "u"
    node.skipped = node.skipped or mark == "x"
  end
  if node[1] == "ended" then
    return "r"
  elseif node[1] == "failed" then
    return node.lost and "r" or "x"
  end
  return node.lost and "u" or node.skipped and "x" or "r"
end

-- Return why a step has failed whose task was refused: 0 its id is taken, -1 its lock is held.
local function refusal(answer, id)
  if answer == 0 then
    return "its task was refused: another task has its id, " .. id .. "; a retry of the flow gives it another one"
  end
  return "its task was refused: another task holds its unique lock"
end

-- Create the task of a step, here or by mail. Return nil, or why it has failed.
local function create_step(place, flow, number, node)
  work = work + 1
  local body = redis.call("HGET", flow.key, "b:" .. number)
  local values = cmsgpack.unpack(body)
  if node[6] > 0 then
    values[6] = now_s + node[6]
    body = cmsgpack.pack(values)
  end
  local answer = node[5] and place(unpack(values, 2, 7))
  if type(answer) ~= "number" then
    post(flow.id .. "-" .. number, body)
  elseif answer ~= 1 then
    return refusal(answer, values[2])
  end
end

-- Let the tasks of a map run: in any queue, also in this one, by mail.
local function start_map(flow, number, node)
  local report = { 0, node[8], "batch", node[7], number, node.times, "r", "", "" }
  post(flow.id .. "-" .. number, cmsgpack.pack(report))
end

-- Start a step; return nil if it runs, else the mark with which it has ended at once.
local function start(place, flow, number)
  local node = node_of(flow, number)
  if node[7] then
    start_map(flow, number, node)
    return nil
  end
  if node[4] then
    if redis.call("HEXISTS", flow.key, "o:" .. number) == 1 then
      return "s"  -- its signal came before
    end
    if node[6] > 0 then
      redis.call("ZADD", flow_timers, now_s + node[6], number .. ":" .. flow.id)
    end
    return nil
  end
  local problem = create_step(place, flow, number, node)
  if problem then
    redis.call("HSET", flow.key, "e:" .. number, problem)
    return "f"
  end
end

-- Return until when a name is locked, and the id of the flow that holds it; nil if it is not.
local function lock_of(name)
  local ends_s, id = string.match(redis.call("HGET", flow_locks, name) or "", "^(%d+):(.*)$")
  return tonumber(ends_s), id
end

-- Let other flows have the name of one that has ended.
local function unlock_name(flow)
  local _, holder = lock_of(flow.lock)
  if holder == flow.id then
    redis.call("HDEL", flow_locks, flow.lock)
  end
end

-- Tell the flow of which this one is a step how it has ended: in any queue by mail.
local function report_to_parent(flow)
  local of, mark, problem = cjson.decode(flow.parent), "s", ""
  local times, reason = unpack(redis.call("HMGET", flow.key, "t:-1", "reason"))
  if flow.state ~= "succeeded" then
    local why = flow.state == "failed" and "has failed" or "was cancelled: " .. (reason or "")
    mark, problem = "f", "its flow " .. flow.id .. " " .. why
  end
  local report = { 0, of[2], "flow", of[3], of[4], tonumber(times or of[5]), mark, "", problem }
  post(flow.id, cmsgpack.pack(report))
end

-- Write that the flow has ended, and let all know that wait for it.
local function finish_flow(flow)
  local keep_s = tonumber(flow.state == "succeeded" and flow.keep_s or flow.keep_failed_s)
  flow.ended_s = now_s
  redis.call("HSET", flow.key, "ended_s", now_s)
  redis.call("EXPIRE", flow.key, keep_s)
  redis.call("ZREM", flows, flow.id)
  redis.call("ZADD", flows_ended, now_s + keep_s, flow.id)
  redis.call("ZREM", flow_timers, "-1:" .. flow.id)
  if flow.lock then
    unlock_name(flow)
  end
  if flow.parent then
    report_to_parent(flow)
  end
end

-- Write the marks; if no step is open, the flow has ended.
local function write(flow)
  if flow.state == "running" and not string.find(flow.marks, "[wr]") then
    flow.state = string.find(flow.marks, "f") and "failed" or "succeeded"
  end
  flow.version = (flow.version or 0) + 1
  redis.call("HSET", flow.key, "marks", flow.marks, "state", flow.state, "version", flow.version)
  if flow.state == "running" then
    redis.call("ZADD", flows, now_s, flow.id)
  elseif not flow.ended_s then
    finish_flow(flow)
  end
end

-- Start the steps *starts*, take the flow on after the steps *ended*, and write it.
local function go_on(place, flow, starts, ended)
  local function begin(number)
    local mark = start(place, flow, number)
    set_mark(flow, number, mark or "r")
    if mark then
      ended[#ended + 1] = number
    end
  end

  for _, number in ipairs(starts) do
    begin(number)
  end
  while #ended > 0 do
    for _, number in ipairs(node_of(flow, table.remove(ended))[3]) do
      if mark_of(flow, number) == "w" then
        local mark = mark_for(flow, node_of(flow, number))
        if mark == "r" then
          begin(number)
        elseif mark ~= "w" then
          set_mark(flow, number, mark)
          ended[#ended + 1] = number
        end
      end
    end
  end
  write(flow)
end
