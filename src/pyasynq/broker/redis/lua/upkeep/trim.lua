-- Trim the archive ahead of need, which keeps Go's own trimming from failing (D21).
--
-- USES clock locks trimmed
-- KEYS
--   archived     zset
-- ARGV
--   task_prefix  str  start of the keys of this queue's tasks
-- RETURNS
--   tasks deleted

redis.call("ZREM", archived, "")  -- a replica refuses: it may be behind
return trim_archive(0)
