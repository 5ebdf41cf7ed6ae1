-- Read the records of batches.
--
-- KEYS
--   batches       zset
-- ARGV
--   batch_prefix  str   start of the keys of this queue's batches
--   batch_id      str   id of one batch, or empty
--   start         int   batches to skip
--   limit         int   most batches to return
-- RETURNS
--   for each that counts its members: its id, and its state, total, left, failed, made_s, ended_s,
--   cancelled
-- SOURCE
--   none: asynq has no batches

local ids = batch_id ~= "" and { batch_id }
  or redis.call("ZRANGE", batches, start, start + limit - 1)
local reply = {}
for _, id in ipairs(ids) do
  local record = redis.pcall(
    "HMGET",
    batch_prefix .. id,
    "state",
    "total",
    "left",
    "failed",
    "made_s",
    "ended_s",
    "cancelled"
  )
  if not record.err and record[3] then
    reply[#reply + 1] = { id, unpack(record, 1, 7) }
  end
end
return reply
