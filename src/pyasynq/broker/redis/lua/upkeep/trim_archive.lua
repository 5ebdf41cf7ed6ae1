-- Trim the archive at regular times, so that Go's own trimming never has too much to delete (D21).
--
-- USES clock locks trim_archive
-- KEYS
--   archived       zset
-- PRIMARY archived
-- ARGV
--   task_prefix    str   start of the keys of this queue's tasks
--   archive_s      int   TTL of an archived task, seconds
--   most_archived  int   tasks in the archive
-- RETURNS
--   tasks deleted

return trim_archive(0)
