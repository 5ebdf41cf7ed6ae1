-- Let receipts of an outbox end sooner: their rows are gone.
--
-- KEYS
--   receipt_prefix  none  start of the keys of this queue's receipts; no key, but in their slot
-- ARGV
--   ttl_s           int   seconds they are kept from now
-- EACH
--   row             str   id of the row
-- RETURNS
--   number of receipts there were
-- SOURCE
--   none: asynq has no outbox

local found = 0
for i = 1, #each, stride do
  found = found + redis.call("EXPIRE", receipt_prefix .. each[i], ttl_s)
end
return found
