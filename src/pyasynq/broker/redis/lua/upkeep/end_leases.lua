-- End the leases of a server that is known to be dead.
--
-- USES clock stamp
-- KEYS
--   active       list
--   lease        zset
-- PRIMARY lease
-- ARGV
--   task_prefix  str   start of the keys of this queue's tasks
--   server_id    str   id of the server; its owner tokens are this id, a slash and a number
--   start        int   rank of the first id to read; 0 is the right end
--   limit        int   most ids to read
--   ended_s      int   time by which the new ends are in the past, seconds
-- RETURNS
--   ids read, leases ended

local ids = redis.call("LRANGE", active, -start - limit, -start - 1)
if #ids == 0 then
  return { 0, 0 }
end
-- Return whether the token is one of this server, and not of one whose id only begins with its id.
local function is_of_server(owner)
  local start = server_id .. "/"
  return owner:sub(1, #start) == start and not owner:find("/", #start + 1, true)
end

local ended = 0
local ends = redis.call("ZMSCORE", lease, unpack(ids))
for n, id in ipairs(ids) do
  local owner = ends[n] and redis.pcall("HGET", task_prefix .. id, "owner")
  if type(owner) == "string" and is_of_server(owner) then
    local tail = stamp("", ends[n])
    if owner:sub(-#tail) == tail then
      ended = ended + 1
      redis.call("ZADD", lease, "XX", now_s - ended_s, id)
      redis.call("HSET", task_prefix .. id, "owner", stamp(owner:sub(1, -#tail - 1), now_s - ended_s))
    end
  end
end
return { #ids, ended }
