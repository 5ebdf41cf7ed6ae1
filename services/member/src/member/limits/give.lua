-- Put one token into each bucket that is not full.
--
-- KEYS
--   one for each bucket  str  when it is full again, Unix microseconds; missing while it is full
-- ARGV
--   one for each bucket  int  time in which one token comes back, microseconds
-- RETURNS
--   0
--
-- The same as `give_back_token` in buckets.py.

local clock = redis.call("TIME")
local now_us = clock[1] * 1000000 + clock[2]
for number, bucket in ipairs(KEYS) do
  local full_at_us = tonumber(redis.call("GET", bucket) or now_us) - tonumber(ARGV[number])
  if full_at_us <= now_us then
    redis.call("DEL", bucket)
  else
    local full_at_ms = math.ceil(full_at_us / 1000)
    redis.call(
      "SET", bucket, string.format("%.0f", full_at_us), "PXAT", string.format("%.0f", full_at_ms)
    )
  end
end
return 0
