-- Take reports of tasks that have ended to the records that they are part of.
--
-- GIVES receivers receive

-- The functions that take reports, by the kind of the record. Each gets place (see placement), the
-- record's id, the task's place in it (node and member), how it has ended (s, f or x), its output, and
-- its error. It returns 1, minus the number of tasks that the report adds and that were refused, 0 if
-- there is no such record, or, before it writes anything, Redis' error as text; nil to be called again
-- in another call, because this one has done enough. It ignores a report that it has already got, and
-- returns 1.
local receivers = {}

-- Take the report that *body* holds to its record; return what the receiver does.
local function receive(body, place)
  local kind, id, node, member, mark, output, problem = unpack(body, 3, 9)
  if not receivers[kind] then
    return 0
  end
  -- A broken record must not keep other tasks from ending: its report waits as mail.
  local _, answer = pcall(receivers[kind], place, id, node, member, mark, output, problem)
  return type(answer) == "table" and answer.err or answer
end
