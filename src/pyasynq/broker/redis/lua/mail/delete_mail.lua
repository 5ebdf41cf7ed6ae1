-- Delete mail that was delivered.
--
-- KEYS
--   mail         zset
--   mail_bodies  hash
-- PRIMARY mail
-- EACH
--   id           str   its id
-- RETURNS
--   number of entries that existed
-- SOURCE
--   none: asynq has no mail

redis.call("HLEN", mail_bodies)
redis.call("HDEL", mail_bodies, unpack(each))
return redis.call("ZREM", mail, unpack(each))
