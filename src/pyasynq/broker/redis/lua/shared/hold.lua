-- Hold some work of a queue for a while, so that other servers leave it alone.
--
-- NEEDS holder owner hold_s
-- GIVES held_elsewhere_ms

-- Return for how many milliseconds another server holds it; nil if the caller holds it from now on.
-- A key of another type or with an end that no server writes means nothing, and is replaced. The DEL
-- needs no memory, so after it a full Redis takes the SET.
local function held_elsewhere_ms()
  local name = redis.pcall("GET", holder)
  local left_ms = redis.call("PTTL", holder)
  local is_held = type(name) == "string" and left_ms > 0 and left_ms <= 60000
  if is_held and name ~= owner then
    return left_ms
  end
  if not is_held then
    redis.call("DEL", holder)
    redis.call("SET", holder, owner, "EX", hold_s)
  elseif left_ms < hold_s * 800 then
    redis.call("EXPIRE", holder, hold_s)
  end
  return nil
end
