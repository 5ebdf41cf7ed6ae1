-- Take one token of each bucket, or of none.
--
-- KEYS
--   one for each bucket  str  when it is full again, Unix microseconds; missing while it is full
-- ARGV
--   two for each bucket  int  time in which one token comes back, microseconds
--                        int  time in which an empty bucket fills, microseconds
-- RETURNS
--   microseconds until each bucket has a token, or 0 if the tokens were taken
--
-- The same as `take_tokens` in buckets.py. Doubles are exact for Unix microseconds for 200 more years.

local clock = redis.call("TIME")
local now_us = clock[1] * 1000000 + clock[2]
local missing_us, wait_us = {}, 0
for number, bucket in ipairs(KEYS) do
  local interval_us, whole_us = tonumber(ARGV[2 * number - 1]), tonumber(ARGV[2 * number])
  local full_at_us = tonumber(redis.call("GET", bucket) or now_us)
  local until_full_us = math.min(math.max(full_at_us - now_us, 0), whole_us)
  missing_us[number] = until_full_us + interval_us
  wait_us = math.max(wait_us, missing_us[number] - whole_us)
end
if wait_us > 0 then
  return wait_us
end
for number, bucket in ipairs(KEYS) do
  local full_at_us = now_us + missing_us[number]
  local full_at_ms = math.ceil(full_at_us / 1000)
  redis.call(
    "SET", bucket, string.format("%.0f", full_at_us), "PXAT", string.format("%.0f", full_at_ms)
  )
end
return 0
