"""One Lua file per transition, called by the names in its header.

A header names the keys and arguments; the loader turns those names into Lua locals and into the
keyword arguments of the call, so a position is never counted by hand on either side. A script that
handles many tasks names under ``EACH`` what comes for each of them: the Lua side reads it from the
table ``each``, in steps of ``stride``. All of it travels as one argument, in MessagePack: driver
and Redis would otherwise spend more on separating hundreds of arguments than on the tasks.
``MORE`` names keys and arguments that a call may leave out, all of them together.
``PRIMARY`` names a key: the loader puts a write to it first, which changes nothing. A server that
was demoted refuses the script then, instead of answering from what may be old; and a Redis that is
full lets it write, for a script that has begun to write may go on.
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

from pyasynq.broker.redis.connection import CommandArg

Each: TypeAlias = "str | int | bool | msgspec.Raw | tuple[Each, ...]"

_pack: Final = msgspec.msgpack.Encoder().encode
_FOLDER: Final = resources.files("pyasynq.broker.redis") / "lua"
_SECTION: Final = re.compile(
    r"^-- (USES|NEEDS|GIVES|KEYS|PRIMARY|ARGV|EACH|MORE|RETURNS)\b(.*)$", re.MULTILINE
)
_TASKS: Final = ("each", "stride")
_NAME: Final = re.compile(r"^--   (\w+) ", re.MULTILINE)
_TYPE: Final = re.compile(r"^--   (\w+) +(\w+)", re.MULTILINE)
_REMOVALS: Final = {"zset": "ZREM", "set": "SREM"}


def blob(data: bytes) -> msgspec.Raw:
    """Return *data* as it stands in an ``each``: Redis' MessagePack knows text, but not bytes."""
    return msgspec.Raw(b"\xdb" + len(data).to_bytes(4, "big") + data)


def _packed(each: Sequence[Each]) -> bytes:
    try:
        return _pack(each)
    except UnicodeEncodeError:  # a name that Go wrote and that is no UTF-8, as `read_id` reads it
        return _pack([_bytes_of(it) if isinstance(it, str) else it for it in each])


def _bytes_of(name: str) -> msgspec.Raw:
    return blob(name.encode(errors="surrogateescape"))


class Call:
    """One script call, ready to be sent.

    Attributes:
        script: What to run.
        arguments: The number of keys, the keys, the rest.
        size: Bytes it carries, or the budget of those it may bring.
    """

    __slots__ = ("arguments", "script", "size")

    def __init__(self, script: "Script", arguments: list[CommandArg], size: int) -> None:
        """Hold what is to be sent."""
        self.script: Script = script
        self.arguments: list[CommandArg] = arguments
        self.size: int = size


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
        self.keys: list[str] = _NAME.findall(sections.get("KEYS", ""))
        self.args: list[str] = _NAME.findall(sections.get("ARGV", ""))
        self.each: list[str] = _NAME.findall(sections.get("EACH", ""))
        self.more: list[str] = _NAME.findall(sections.get("MORE", ""))
        known = {*self.keys, *self.args, *(_TASKS if self.each else ()), *self.more}
        begin = _locals("KEYS", self.keys) + _locals("ARGV", self.args)
        at = len(self.args) + 1
        if self.each:
            begin += f"local each, stride = cmsgpack.unpack(ARGV[{at}]), {len(self.each)} "
            at += 1
        begin += _locals("ARGV", self.more, at) + _first_write(sections)
        self.lua: str = f"{begin}\n{_shared(name, sections, known)}{_code(text)}"
        self.sha: str = hashlib.sha1(self.lua.encode(), usedforsecurity=False).hexdigest()
        self._names = [*self.keys, *self.args]
        self._known = frozenset(self._names)
        self._whole = frozenset([*self._names, *self.more])

    def __call__(self, each: Sequence[Each] = (), /, **values: CommandArg) -> Call:
        """Return a call with *values*, and *each*: what comes for every task, one after another.

        Raises:
            TypeError: If *values* are not exactly the names in the header.
        """
        known = self._whole if len(values) > len(self._known) else self._known
        if values.keys() != known or (each and not self.each):
            takes = f"{self._names}, maybe {self.more}, and each {self.each}"
            msg = f"{self.name}.lua takes {takes}, got {sorted(values)}"
            raise TypeError(msg)
        arguments: list[CommandArg] = [len(self.keys)]
        arguments.extend([values[name] for name in self._names])
        if not self.each:
            carried = sum(len(value) for value in values.values() if isinstance(value, bytes))
            return Call(self, arguments, cast("int", values.get("budget", carried)))
        packed = _packed(each)
        arguments.append(packed)
        if known is not self._known:
            arguments.extend([values[name] for name in self.more])
        return Call(self, arguments, len(packed))


def _sections(text: str) -> dict[str, str]:
    """Return the header's sections by name."""
    header = text[: text.index("\n\n") if "\n\n" in text else len(text)]
    parts = _SECTION.split(header)[1:]
    names, inline, bodies = parts[::3], parts[1::3], parts[2::3]
    return {n: f"{i.strip()}{b}" for n, i, b in zip(names, inline, bodies, strict=True)}


def _first_write(sections: Mapping[str, str]) -> str:
    """Return a write that changes nothing, to the key that is ``PRIMARY``; nothing if none is."""
    key = sections.get("PRIMARY", "").strip()
    if not key:
        return ""
    kind = dict(_TYPE.findall(sections["KEYS"]))[key]
    return f'redis.call("{_REMOVALS[kind]}", {key}, "") '


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


def _locals(table: str, names: Sequence[str], first: int = 1) -> str:
    return "".join(f"local {name} = {table}[{i}] " for i, name in enumerate(names, first))
