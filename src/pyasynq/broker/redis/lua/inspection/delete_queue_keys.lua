-- Delete the remaining keys of a queue that has no tasks.
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
--   batches           zset
--   mail              zset
--   mail_bodies       hash
--   flows             zset
--   flows_ended       zset
--   flow_timers       zset
--   flow_locks        hash
--   lease             zset
--   paused            string
--   group_search      hash
--   processed         string
--   failed            string
-- PRIMARY scheduled
-- EACH
--   key               str     another key to delete, such as a day's counter
-- RETURNS
--   1 deleted, 0 the queue has tasks or batches, -1 some of its tasks are running
-- SOURCE
--   protocol 8.1 (asynq v0.26.0 internal/rdb/inspect.go removeQueueCmd); deletes counters, groups and
--   the pause as well (D23)

if redis.call("LLEN", active) > 0 then
  return -1
end
local waiting = redis.call("LLEN", pending) + redis.call("SCARD", groups)
for _, key in ipairs({
  scheduled,
  retry,
  archived,
  completed,
  aggregation_sets,
  batches,
  mail,
  flows,
}) do
  waiting = waiting + redis.call("ZCARD", key)
end
if waiting > 0 then
  return 0
end
redis.call("UNLINK", lease, paused, mail_bodies, group_search, processed, failed, unpack(each))
redis.call("UNLINK", flows_ended, flow_timers, flow_locks)
return 1
