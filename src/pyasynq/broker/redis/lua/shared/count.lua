-- Count processed and failed tasks. A broken counter is left alone, so that it stops no transition.
--
-- NEEDS processed processed_day failed failed_day day_ends_s
-- GIVES count

-- Add n to a day's counter, which expires 90 days after its first count.
local function count_day(key, n)
  if n > 0 and redis.pcall("INCRBY", key, n) == n then
    redis.call("EXPIREAT", key, day_ends_s)
  end
end

-- Add to the totals. Both start again when processed reaches the largest int64.
local function count_total(n, failures)
  local total = tonumber(redis.pcall("GET", processed) or 0)
  if total and total + n >= 9223372036854775807 then
    redis.call("SET", processed, n)
    if failures > 0 then
      redis.call("SET", failed, failures)
    end
    return
  end
  redis.pcall("INCRBY", processed, n)
  if failures > 0 then
    redis.pcall("INCRBY", failed, failures)
  end
end

local function count(n, failures)
  if n == 0 then
    return
  end
  count_day(processed_day, n)
  if failures > 0 then
    count_day(failed_day, failures)
  end
  count_total(n, failures)
end
