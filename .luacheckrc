-- How luacheck reads the scripts that tools/lua.py puts together.
std = "lua51"
read_globals = {"redis", "KEYS", "ARGV", "cjson", "cmsgpack"}
max_line_length = false
ignore = {
  "211/now_s",    -- comes with clock, of which some want the nanoseconds alone
  "211/stride",   -- comes with each
  "211/receive",  -- comes with receivers
  "211/count_members",  -- comes with end_batch
  "431",          -- a function's parameter may be called as an argument of the script
  "612",          -- the loader's names end in a space
}
