-- Take the reports of steps to their flows.
--
-- NEEDS receivers load_flow mark_of set_mark node_of go_on work
-- GIVES receive_for_flow

local MOST_WORK = 2000  -- a call that has done as much takes no more flows on

local taken_on = {}  -- the flows that this call has taken on, by their ids, as they are stored

-- Return what load_flow does.
local function find_flow(id)
  if taken_on[id] then
    return taken_on[id]
  end
  return load_flow(id)
end

-- Take the report of a step's task: see receive. The member is how often the step was retried.
local function receive_for_flow(place, id, number, times, mark, output, problem)
  if work >= MOST_WORK then
    return nil
  end
  local flow, wrong = find_flow(id)
  if not flow then
    return wrong or 0
  end
  taken_on[id] = nil  -- until it is stored
  if mark_of(flow, number) ~= "r" or times ~= node_of(flow, number).times then
    taken_on[id] = flow
    return 1
  end
  if output ~= "" then
    redis.call("HSET", flow.key, "o:" .. number, output)
  end
  if problem ~= "" then
    redis.call("HSET", flow.key, "e:" .. number, problem)
  end
  set_mark(flow, number, mark)
  go_on(place, flow, {}, { number })
  taken_on[id] = flow
  return 1
end

receivers.flow = receive_for_flow
