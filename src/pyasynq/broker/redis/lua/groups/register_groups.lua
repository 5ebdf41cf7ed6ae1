-- Register groups and aggregation sets that were found in Redis and still exist.
--
-- USES clock register
-- KEYS
--   groups            set
--   aggregation_sets  zset
-- PRIMARY aggregation_sets
-- ARGV
--   group_prefix      str   start of the keys of this queue's groups
-- EACH
--   key               str   key of a group or an aggregation set
-- RETURNS
--   number of keys that were not registered before
-- SOURCE
--   improves on asynq v0.26.0, where such a group waits until another task joins it (D15, D16)

redis.call("SCARD", groups)
redis.call("ZCARD", aggregation_sets)
local found = 0
for _, key in ipairs(each) do
  if redis.call("EXISTS", key) == 1 and register(key) then
    found = found + 1
  end
end
return found
