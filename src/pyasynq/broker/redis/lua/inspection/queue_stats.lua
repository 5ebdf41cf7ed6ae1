-- Read the figures of a queue whose cost does not depend on its length.
--
-- USES clock now_ns
-- KEYS
--   pending           list
--   active            list
--   scheduled         zset
--   retry             zset
--   archived          zset
--   completed         zset
--   groups            set
--   aggregation_sets  zset
--   paused            string
--   processed         string
--   failed            string
--   processed_day     string
--   failed_day        string
-- ARGV
--   task_prefix       str     start of the keys of this queue's tasks
-- RETURNS
--   sizes of the first six keys, numbers of groups and of aggregation sets, 1 if paused, else 0, the
--   four counters (day's first; nil if missing), pending_since of the next task to run (nanoseconds,
--   or nil), and the present time (nanoseconds)
-- SOURCE
--   protocol 8.2 (asynq v0.26.0 internal/rdb/inspect.go currentStatsCmd); another script counts the
--   tasks in groups, in steps (D44)

local sizes = { redis.call("LLEN", pending), redis.call("LLEN", active) }
for n, key in ipairs({ scheduled, retry, archived, completed }) do
  sizes[n + 2] = redis.call("ZCARD", key)
end
local oldest = redis.call("LINDEX", pending, -1)
return {
  sizes,
  redis.call("SCARD", groups),
  redis.call("ZCARD", aggregation_sets),
  redis.call("EXISTS", paused),
  redis.call("MGET", processed_day, failed_day, processed, failed),
  oldest and redis.pcall("HGET", task_prefix .. oldest, "pending_since"),
  now_ns,
}
