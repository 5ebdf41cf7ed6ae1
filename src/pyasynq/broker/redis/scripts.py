"""One Lua file per transition, called by the names in its header.

A header names the keys and arguments; the loader turns those names into Lua locals and into the
keyword arguments of the call, so a position is never counted by hand on either side. A script that
handles many tasks names under ``EACH`` what comes for each of them: the Lua side reads it from the
table ``each``, in steps of ``stride``. What is mostly not given is named under ``TASKS`` instead:
then the table ``tasks`` has an array for each of them, whose tail may be missing. All of it travels
as one argument, in MessagePack: driver and Redis would otherwise spend more on separating hundreds
of arguments than on the tasks.
``USES`` names files of ``lua/shared`` whose code comes before the script's, in this order. Such a
file names in its own header what it ``NEEDS``, of the script's keys and arguments or of a file
before it, and what it ``GIVES``.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Final, TypeAlias, cast

import msgspec

from pyasynq.broker.redis.connection import Word

Each: TypeAlias = str | int | msgspec.Raw
Wire: TypeAlias = tuple["Each | Wire | None", ...]

_pack: Final = msgspec.msgpack.Encoder().encode
_FOLDER: Final = resources.files("pyasynq.broker.redis") / "lua"
_SECTION: Final = re.compile(
    r"^-- (USES|NEEDS|GIVES|KEYS|ARGV|EACH|TASKS|RETURNS)\b(.*)$", re.MULTILINE
)
_NAME: Final = re.compile(r"^--   (\w+) ", re.MULTILINE)


def blob(data: bytes) -> msgspec.Raw:
    """Return *data* as it stands in an ``each``: Redis' MessagePack knows text, but not bytes."""
    return msgspec.Raw(b"\xdb" + len(data).to_bytes(4, "big") + data)


class Call:
    """One script call, ready to be sent.

    Attributes:
        script: What to run.
        arguments: The number of keys, the keys, the rest.
        size: Bytes it carries, or the budget of those it may bring.
    """

    __slots__ = ("arguments", "script", "size")

    def __init__(self, script: "Script", arguments: list[Word], size: int) -> None:
        """Hold what is to be sent."""
        self.script = script
        self.arguments = arguments
        self.size = size


class Script:
    """A Lua script called by the names in its header."""

    def __init__(self, name: str, *, repeatable: bool = False) -> None:
        """Load ``<name>.lua`` from the ``lua`` folder.

        Args:
            name: The file.
            repeatable: Run twice, it changes and answers the same; so it is sent again when a
                connection breaks. Who calls any other decides what to do.
        """
        text = (_FOLDER / f"{name}.lua").read_text("utf-8")
        sections = _sections(text)
        self.name = name
        self.repeatable = repeatable
        self.keys = _NAME.findall(sections.get("KEYS", ""))
        self.args = _NAME.findall(sections.get("ARGV", ""))
        self.each = _NAME.findall(sections.get("EACH", ""))
        self.tasks = _NAME.findall(sections.get("TASKS", ""))
        self._packs = bool(self.each or self.tasks)
        names = _locals("KEYS", self.keys) + _locals("ARGV", self.args) + self._unpacking()
        shared = _shared(name, sections, {*re.findall(r"\w+", names)})
        self.lua = f"{names}\n{shared}{_code(text)}"
        self.sha = hashlib.sha1(self.lua.encode(), usedforsecurity=False).hexdigest()
        self._names = [*self.keys, *self.args]
        self._known = frozenset(self._names)

    def _unpacking(self) -> str:
        packed = f"cmsgpack.unpack(ARGV[{len(self.args) + 1}])"
        if self.each:
            return f"local each, stride = {packed}, {len(self.each)} "
        return f"local tasks = {packed} " if self.tasks else ""

    def __call__(self, each: Sequence[Each] | Sequence[Wire] = (), /, **values: Word) -> Call:
        """Return a call with *values*, and what comes for *each* task.

        Raises:
            TypeError: If *values* are not exactly the names in the header.
        """
        if values.keys() != self._known or (each and not self._packs):
            takes = f"{self._names} and each {self.each or self.tasks}"
            msg = f"{self.name}.lua takes {takes}, got {sorted(values)}"
            raise TypeError(msg)
        arguments: list[Word] = [len(self.keys)]
        arguments.extend([values[name] for name in self._names])
        if not self._packs:
            carried = sum(len(value) for value in values.values() if isinstance(value, bytes))
            return Call(self, arguments, cast("int", values.get("budget", carried)))
        packed = _pack(each)
        arguments.append(packed)
        return Call(self, arguments, len(packed))


def _sections(text: str) -> dict[str, str]:
    """Return the header's sections by name."""
    header = text[: text.index("\n\n") if "\n\n" in text else len(text)]
    parts = _SECTION.split(header)[1:]
    names, inline, bodies = parts[::3], parts[1::3], parts[2::3]
    return {n: f"{i.strip()}{b}" for n, i, b in zip(names, inline, bodies, strict=True)}


def _shared(script: str, sections: Mapping[str, str], known: set[str]) -> str:
    """Return the code that *script* shares, whose header has these *sections*.

    Raises:
        ValueError: If what it shares needs a name that is not *known*.
    """
    code = ""
    for name in sections.get("USES", "").split():
        text = (_FOLDER / "shared" / f"{name}.lua").read_text("utf-8")
        own = _sections(text)
        if missing := {*own.get("NEEDS", "").split()} - known:
            msg = f"{script}.lua uses {name}.lua, which needs {', '.join(sorted(missing))}"
            raise ValueError(msg)
        known |= {*own["GIVES"].split()}
        code += _code(text)
    return code


def _code(text: str) -> str:
    """Return *text* without its header: Redis keeps every byte of a script."""
    return text[text.index("\n\n") + 2 :]


def _locals(table: str, names: Sequence[str]) -> str:
    return "".join(f"local {name} = {table}[{i}] " for i, name in enumerate(names, 1))


create = Script("create")
shorten = Script("shorten", repeatable=True)
dequeue = Script("dequeue")
done = Script("done")
complete = Script("complete")
retry = Script("retry")
archive = Script("archive")
requeue = Script("requeue")
give_back = Script("give_back", repeatable=True)
start = Script("start", repeatable=True)
extend = Script("extend", repeatable=True)
result = Script("result", repeatable=True)
forward = Script("forward")
expired = Script("expired", repeatable=True)
repair = Script("repair", repeatable=True)
end_leases = Script("end_leases", repeatable=True)
expire = Script("expire")
trim = Script("trim")
beat = Script("beat", repeatable=True)
present = Script("present", repeatable=True)
begin = Script("begin", repeatable=True)
entries = Script("entries")
shown = Script("shown", repeatable=True)
event = Script("event")
ripe_groups = Script("ripe_groups", repeatable=True)
stage = Script("stage")
members = Script("members", repeatable=True)
hold_set = Script("hold_set", repeatable=True)
postpone = Script("postpone")
archive_members = Script("archive_members")
put_back = Script("put_back")
reclaim = Script("reclaim")
find_groups = Script("find_groups")
register_groups = Script("register_groups")
look = Script("look", repeatable=True)
groups = Script("groups", repeatable=True)
staged = Script("staged", repeatable=True)
memory = Script("memory", repeatable=True)
page = Script("page", repeatable=True)
task = Script("task", repeatable=True)
run_tasks = Script("run")
shelve = Script("shelve")
delete = Script("delete")
update = Script("update")
reschedule = Script("reschedule")
workers = Script("workers", repeatable=True)
living = Script("living", repeatable=True)
close = Script("close")
orphans = Script("orphans")
remove = Script("remove")
await_result = Script("await", repeatable=True)
acquire = Script("acquire", repeatable=True)
renew = Script("renew", repeatable=True)
release = Script("release")
