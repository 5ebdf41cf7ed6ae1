-- End the leases of a server that is known to be dead.
--
-- USES clock stamp
-- KEYS
--   active       list
--   lease        zset
-- PRIMARY lease
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   server_id    str   the server; its owner tokens are this, a slash and a number
--   start        int   rank to look from, 0 is the right end
--   limit        int   ids to look at
--   ended_s      int   how long the leases are to be over, seconds
-- RETURNS
--   ids looked at, leases ended

local ids = redis.call("LRANGE", active, -start - limit, -start - 1)
if #ids == 0 then
  return { 0, 0 }
end
-- Whether the server made the token: the ids of others may start with this one.
local function is_its(owner)
  local start = server_id .. "/"
  return owner:sub(1, #start) == start and not owner:find("/", #start + 1, true)
end

local ended = 0
local ends = redis.call("ZMSCORE", lease, unpack(ids))
for n, id in ipairs(ids) do
  local owner = ends[n] and redis.pcall("HGET", task_prefix .. id, "owner")
  if type(owner) == "string" and is_its(owner) then
    local tail = stamp("", ends[n])
    if owner:sub(-#tail) == tail then
      ended = ended + 1
      redis.call("ZADD", lease, "XX", now_s - ended_s, id)
      redis.call("HSET", task_prefix .. id, "owner", stamp(owner:sub(1, -#tail - 1), now_s - ended_s))
    end
  end
end
return { #ids, ended }
