-- Find the tasks of one sorted set whose last error contains a text, in upper or lower case.
--
-- USES last_error
-- KEYS
--   container    zset
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   queue        str   the queue
--   start        int   rank of the first task
--   limit        int   most tasks to look at
--   max_bytes    int   stop once messages have more bytes
--   text         str   the text, in lower case
-- RETURNS
--   number of tasks that were looked at, then the ids of those found

local found, looked_at = find_errors()
return {looked_at, unpack(found)}
