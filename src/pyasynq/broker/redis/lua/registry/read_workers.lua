-- Read the records of some tasks that a server runs.
--
-- KEYS
--   workers    hash
-- ARGV
--   max_bytes  int   stop once the records have this number of bytes
-- EACH
--   id         str   task id
-- RETURNS
--   encoded WorkerInfo of each task until the limit; nil for a task that no longer runs
-- SOURCE
--   protocol 8.7 (asynq v0.26.0 internal/rdb/inspect.go ListWorkers); asynq reads all at once (D44)

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
