-- Read some of the tasks that a server runs.
--
-- KEYS
--   workers    hash
-- ARGV
--   max_bytes  int   bytes after which no more are read
-- EACH
--   id         str   task id
-- RETURNS
--   encoded WorkerInfos of the first of them; nil for one that is over
-- SOURCE
--   protocol 8.7 (asynq v0.26.0 internal/rdb/inspect.go ListWorkers); there all at once (D44)

local answer, left = {}, tonumber(max_bytes)
for _, id in ipairs(each) do
  if left <= 0 then
    break
  end
  local record = redis.call("HGET", workers, id)
  left = left - #(record or "")
  answer[#answer + 1] = record
end
return answer
