-- Put new tasks into their containers.
--
-- NEEDS now_s pending scheduled groups group_prefix
-- GIVES containers

-- Return two functions: add, for each task, and fill, to be called once after the last task. They are
-- made only if a call needs them, because that takes time.
local function containers()
  local ready, due, joined = {}, {}, {}

  local function add(id, at_s, group)
    if at_s then
      due[#due + 1] = at_s
      due[#due + 1] = id
    elseif group then
      joined[group] = joined[group] or {}
      table.insert(joined[group], now_s)
      table.insert(joined[group], id)
    else
      ready[#ready + 1] = id
    end
  end

  local function fill()
    if #ready > 0 then
      redis.call("LPUSH", pending, unpack(ready))
    end
    if #due > 0 then
      redis.call("ZADD", scheduled, unpack(due))
    end
    for group, scored in pairs(joined) do
      redis.call("ZADD", group_prefix .. group, unpack(scored))
      redis.call("SADD", groups, group)
    end
  end

  return add, fill
end
