-- Put new tasks into their containers.
--
-- NEEDS now_s pending scheduled groups group_prefix
-- GIVES containers

-- Call command with key and values, some thousand at a time: Lua unpacks no more. One step can start
-- a thousand others, and many steps end in one call.
local function in_chunks(command, key, values)
  for i = 1, #values, 4000 do
    redis.call(command, key, unpack(values, i, math.min(i + 3999, #values)))
  end
end

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
    in_chunks("LPUSH", pending, ready)
    in_chunks("ZADD", scheduled, due)
    for group, scored in pairs(joined) do
      in_chunks("ZADD", group_prefix .. group, scored)
      redis.call("SADD", groups, group)
    end
  end

  return add, fill
end
