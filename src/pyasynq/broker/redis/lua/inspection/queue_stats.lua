-- Look at a queue: what can be told at once, however long it is.
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
--   sizes of the first eight keys, 1 if paused, the four counters (missing ones are nil), the id of
--   the next task to run with its pending_since in nanoseconds (or nil), and the present time so
-- SOURCE
--   protocol 8.2 (asynq v0.26.0 internal/rdb/inspect.go currentStatsCmd); groups are counted apart,
--   in steps (D44)

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
