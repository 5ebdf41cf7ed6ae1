"""Load Lua scripts, one file for each transition, and call them by the names in their headers.

``KEYS`` and ``ARGV`` name keys and arguments. The loader turns the names into Lua locals and into
the keyword arguments of the call, so nobody counts positions.
``EACH`` names the values of each task, for a script that handles many. Lua reads them from the
table ``each``, in steps of ``stride``. All of them are one argument in MessagePack, because parsing
hundreds of arguments would cost driver and Redis more than the tasks do.
``MORE`` names keys and arguments that a call may leave out, all or none of them.
``PRIMARY`` names a key. The loader puts a write to it, which changes nothing, before the script.
Then a demoted server refuses the script instead of answering from old data, and a full Redis does
not stop the script half-way, because a script that has written once may go on writing.
``USES`` names files of ``lua/shared``, whose code comes before the script's, in this order. Such a
file names in its own header what it ``NEEDS`` (the script's keys and arguments, or what an earlier
file gives) and what it ``GIVES``.

A script may be loaded a second time with another one *then*, which follows in the same call and
reads what the first returned as ``answers``. It has the keys and arguments of both. So the first
has one text, and costs no more where nothing follows.
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
_TEXT_STARTS: Final = {0xD9: 2, 0xDA: 3, 0xDB: 5}
"""Bytes before a text in MessagePack, by the first; before a short one there is only one."""
_REMOVALS: Final = {"zset": "ZREM", "set": "SREM", "hash": "HDEL"}


_names_by_sha: Final[dict[str, str]] = {}


def name_of(sha: str) -> str | None:
    """Return the name of the script with this hash; None if it is not ours."""
    return _names_by_sha.get(sha)


def blob(data: bytes) -> msgspec.Raw:
    """Return *data* as an element of an ``each``: Redis' MessagePack has texts, but not bytes."""
    return msgspec.Raw(b"\xdb" + len(data).to_bytes(4, "big") + data)


def unblob(raw: msgspec.Raw) -> bytes:
    """Return the bytes that `blob` was given, also if Redis has packed them again."""
    data = bytes(raw)
    return data[_TEXT_STARTS.get(data[0], 1) :]


def pack(each: Sequence[Each]) -> bytes:
    """Return *each* as Lua reads it, in MessagePack."""
    try:
        return _pack(each)
    except UnicodeEncodeError:  # a name with surrogates; see `decode_name`
        return _pack([_bytes_of(it) if isinstance(it, str) else it for it in each])


def _bytes_of(name: str) -> msgspec.Raw:
    return blob(name.encode(errors="surrogateescape"))


class Call:
    """One script call, ready to be sent.

    Attributes:
        script: The script to run.
        arguments: The number of keys, the keys, then all other arguments.
        size: Bytes that it carries, or most bytes that its answer may have.
    """

    __slots__ = ("arguments", "script", "size")

    def __init__(self, script: "Script", arguments: list[CommandArg], size: int) -> None:
        """Hold the script and its arguments."""
        self.script: Script = script
        self.arguments: list[CommandArg] = arguments
        self.size: int = size


class Script:
    """A Lua script called by the names in its header."""

    def __init__(self, name: str, *, then: str | None = None, repeatable: bool = False) -> None:
        """Load ``<name>.lua`` from the ``lua`` folder.

        Args:
            name: The file.
            then: Another file, whose script follows; None for none. Its header has no ``EACH``.
            repeatable: A second run has the same effect and answer, so the call is sent again when
                a connection breaks. For other scripts the caller decides what to do.
        """
        text, next_text = _read(name), _read(then) if then else ""
        sections, next_sections = _sections(text), _sections(next_text)
        self.files: tuple[str, ...] = (name, then) if then else (name,)
        self.name: str = name if then is None else f"{name}_{then.rpartition('/')[2]}"
        self.repeatable = repeatable
        self.keys: list[str] = _names("KEYS", sections, next_sections)
        self.args: list[str] = _names("ARGV", sections, next_sections)
        self.each: list[str] = _names("EACH", sections)
        self.more: list[str] = _names("MORE", sections)
        known = {*self.keys, *self.args, *(_TASKS if self.each else ()), *self.more}
        shared = _shared_code(name, _files(sections, next_sections), known)
        code = _code(text)
        if then is not None:
            code = f"local function begin()\n{code}end\nlocal answers = begin()\n{_code(next_text)}"
        self.lua: str = f"{self._prelude()}{_first_write(sections)}\n{shared}{code}"
        self.sha: str = hashlib.sha1(self.lua.encode(), usedforsecurity=False).hexdigest()
        _names_by_sha[self.sha] = self.name
        self._is_followed = then is not None
        self._names = [*self.keys, *self.args]
        self._required = frozenset(self._names)
        self._all_names = frozenset([*self._names, *self.more])

    def _prelude(self) -> str:
        """Return code that gives keys and arguments their names."""
        code = _locals("KEYS", self.keys) + _locals("ARGV", self.args)
        at = len(self.args) + 1
        if self.each:
            code += f"local each, stride = cmsgpack.unpack(ARGV[{at}]), {len(self.each)} "
            at += 1
        return code + _locals("ARGV", self.more, at)

    def __call__(self, each: Sequence[Each] = (), /, **values: CommandArg) -> Call:
        """Return a call with *values* and *each*, the values of all tasks one after another.

        Raises:
            TypeError: If *values* are not exactly the names in the header.
        """
        known = self._all_names if len(values) > len(self._required) else self._required
        if values.keys() != known or (each and not self.each):
            takes = f"{self._names}, maybe {self.more}, and each {self.each}"
            msg = f"{self.name}.lua takes {takes}, got {sorted(values)}"
            raise TypeError(msg)
        arguments: list[CommandArg] = [len(self.keys)]
        arguments.extend([values[name] for name in self._names])
        if not self.each:
            return Call(self, arguments, cast("int", values.get("max_bytes", _bytes_in(values))))
        data = pack(each)
        arguments.append(data)
        if known is not self._required:
            arguments.extend([values[name] for name in self.more])
        return Call(self, arguments, len(data) + (_bytes_in(values) if self._is_followed else 0))


def _bytes_in(values: Mapping[str, CommandArg]) -> int:
    return sum(len(value) for value in values.values() if isinstance(value, bytes))


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text("utf-8")


def _files(*headers: Mapping[str, str]) -> list[str]:
    """Return the shared files that *headers* name, each once."""
    names = [name for header in headers for name in header.get("USES", "").split()]
    return list(dict.fromkeys(names))


def _names(section: str, *headers: Mapping[str, str]) -> list[str]:
    """Return the names in a section of all *headers*."""
    return [name for header in headers for name in _NAME.findall(header.get(section, ""))]


def _sections(text: str) -> dict[str, str]:
    """Return the header's sections by name."""
    header = text[: text.index("\n\n") if "\n\n" in text else len(text)]
    parts = _SECTION.split(header)[1:]
    names, inline, bodies = parts[::3], parts[1::3], parts[2::3]
    return {n: f"{i.strip()}{b}" for n, i, b in zip(names, inline, bodies, strict=True)}


def _first_write(sections: Mapping[str, str]) -> str:
    """Return code that writes to the ``PRIMARY`` key without changing it; empty without that."""
    key = sections.get("PRIMARY", "").strip()
    if not key:
        return ""
    kind = dict(_TYPE.findall(sections["KEYS"]))[key]
    return f'redis.call("{_REMOVALS[kind]}", {key}, "") '


def _shared_code(script: str, files: Sequence[str], known: set[str]) -> str:
    """Return the code of the shared *files* that *script* uses.

    Raises:
        ValueError: If a shared file needs a name that is not *known*.
    """
    code = ""
    for name in files:
        text = _read(f"shared/{name}")
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
