-- Remove what is left of a queue once it holds no task.
--
-- KEYS
--   pending           list
--   active            list
--   scheduled         zset
--   retry             zset
--   archived          zset
--   completed         zset
--   groups            set
--   aggregation_sets  zset
--   lease             zset
--   paused            string
--   group_search      hash
--   processed         string
--   failed            string
-- PRIMARY scheduled
-- EACH
--   key               str     key of something else that goes: the counters of the days
-- RETURNS
--   1 removed, 0 it holds tasks again, -1 some are running
-- SOURCE
--   protocol 8.1 (asynq v0.26.0 internal/rdb/inspect.go removeQueueCmd); counters, groups and the
--   pause go as well (D23)

if redis.call("LLEN", active) > 0 then
  return -1
end
local waiting = redis.call("LLEN", pending) + redis.call("SCARD", groups)
for _, key in ipairs({ scheduled, retry, archived, completed, aggregation_sets }) do
  waiting = waiting + redis.call("ZCARD", key)
end
if waiting > 0 then
  return 0
end
redis.call("UNLINK", lease, paused, group_search, processed, failed, unpack(each))
return 1
