-- Take the reports of steps to their flows.
--
-- NEEDS receivers load_flow mark_of set_mark go_on started
-- GIVES receive_for_flow

local MOST_STARTED = 2000  -- tasks of steps; a call that has started as many takes no more flows on

-- Take the report of a step's task: see receive. The member is how often the step was retried.
local function receive_for_flow(place, id, number, times, mark, output, problem)
  if started >= MOST_STARTED then
    return nil
  end
  local flow, wrong = load_flow(id)
  if not flow then
    return wrong or 0
  end
  local now = tonumber(redis.call("HGET", flow.key, "t:" .. number) or 0)
  if mark_of(flow, number) ~= "r" or times ~= now then
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
  return 1
end

receivers.flow = receive_for_flow
