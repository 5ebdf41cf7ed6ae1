-- Enqueue the task of one tick of a scheduler's entry, and move the entry on to this tick.
--
-- Both or neither: so a tick is enqueued once, however many schedulers try, and wherever they die.
-- A scheduler whose clock is fast enqueues nothing, and what one has left is not believed: all other
-- schedulers would wait until then.
--
-- USES clock created
-- KEYS
--   last          string  the entry's last tick, Unix seconds
--   container     list, zset or set  where tasks of this kind wait: pending, scheduled, or groups
-- ARGV
--   task_prefix   str    start of the keys of this queue's tasks
--   group_prefix  str    start of the keys of this queue's groups
--   known_s       int    the last tick that the caller knows of, Unix seconds
--   tick_s        int    this tick, Unix seconds
--   keep_s        int    life of the last tick, seconds
--   early_s       int    a tick may come so much before its time by the Redis clock, seconds
--   credible_s    int    a last tick that is further ahead counts as none, seconds
--   state         str    pending, scheduled or aggregating
--   id            str    task id
--   message       bytes  encoded TaskMessage
--   lock          str    key of the unique lock, or empty
--   ttl_s         int    life of the lock, seconds
--   at_s          int    when a scheduled task is to run, Unix seconds
--   group         str    group to join, or empty
-- RETURNS
--   the answer, the entry's last tick, the Redis clock (Unix milliseconds), and the last tick that
--   is not believed, or -1: 1 enqueued, 0 the id is taken, -1 the lock is held, -2 another scheduler
--   has moved the entry on, -3 the tick is still to come
-- SOURCE
--   protocol 3.3 to 3.5 and 7.2; with asynq every scheduler enqueues every tick (D47)

local now_ms = now_s * 1000 + math.floor(tonumber(clock[2]) / 1000)
local before = tonumber(redis.call("GET", last))
local disbelieved = -1
if before and before > now_s + tonumber(credible_s) then
  before, disbelieved = nil, before
end
if before and before ~= tonumber(known_s) then
  return answered({-2, before, now_ms, disbelieved})
end
if tonumber(tick_s) > now_s + tonumber(early_s) then
  return answered({-3, tonumber(known_s), now_ms, disbelieved})
end

local function grouped()
  return create(id, message, state, lock, ttl_s, "group", group)
end

local answer
if state == "pending" then
  redis.call("LLEN", container)
  answer = create(id, message, state, lock, ttl_s, "pending_since", now_ns)
  if answer == 1 then
    redis.call("LPUSH", container, id)
  end
elseif state == "scheduled" then
  redis.call("ZCARD", container)
  answer = group == "" and create(id, message, state, lock, ttl_s) or grouped()
  if answer == 1 then
    redis.call("ZADD", container, at_s, id)
  end
else
  redis.call("SCARD", container)
  redis.call("ZCARD", group_prefix .. group)
  answer = grouped()
  if answer == 1 then
    redis.call("ZADD", group_prefix .. group, now_s, id)
    redis.call("SADD", container, group)
  end
end
redis.call("SET", last, tick_s, "EX", keep_s)
return {answer, tonumber(tick_s), now_ms, disbelieved}
