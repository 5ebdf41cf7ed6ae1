-- Let another server hold what the caller's server holds, and have all look at once.
--
-- KEYS
--   holder  string  id of the server that holds it
--   lease   zset
-- PRIMARY lease
-- ARGV
--   owner    str    id of the caller's server
--   channel  str    channel on which all servers listen
--   queue    str    name of the queue
-- RETURNS
--   1 if the caller held it, else 0
-- SOURCE
--   none: in asynq every server does the upkeep

if redis.pcall("GET", holder) == owner then
  redis.call("DEL", holder)
  redis.pcall("PUBLISH", channel, queue)
  return 1
end
return 0
