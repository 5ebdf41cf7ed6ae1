-- Shorten the TTL of an outbox's receipts whose rows are deleted.
--
-- KEYS
--   receipt_prefix  none  start of the keys of this queue's receipts; not a key, but in their slot
-- ARGV
--   ttl_s           int   TTL of the receipts from now, seconds
-- EACH
--   row             str   id of the row
-- RETURNS
--   number of receipts that existed
-- SOURCE
--   none: asynq has no outbox

local found = 0
for i = 1, #each, stride do
  found = found + redis.call("EXPIRE", receipt_prefix .. each[i], ttl_s)
end
return found
