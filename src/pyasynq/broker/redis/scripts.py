"""One Lua file per transition, called by the names in its header.

A header names the keys and arguments; the loader turns those names into Lua locals and into the
keyword arguments of the call, so a position is never counted by hand on either side. A script that
handles many tasks names under ``EACH`` what comes for each of them: the Lua side reads it from the
table ``each``, in steps of ``stride``. All of it travels as one argument, in MessagePack: driver
and Redis would otherwise spend more on separating hundreds of arguments than on the tasks.
``USES`` names files of ``lua/shared`` whose code comes before the script's, in this order. Such a
file names in its own header what it ``NEEDS``, of the script's keys and arguments or of a file
before it, and what it ``GIVES``.
"""

import asyncio
import hashlib
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from itertools import repeat
from typing import Final, TypeAlias, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from pyasynq.broker.redis.connection import (
    Driver,
    Word,
    answered,
    execute,
    failed,
    is_broken,
)
from pyasynq.errors import BrokerError, BrokerUnavailableError
from pyasynq.turns import Turns

Each: TypeAlias = str | int | msgspec.Raw

MAX_TASKS: Final = 128
"""Tasks one call handles, so that Redis is never held for long."""

MAX_BULK: Final = 1000
"""Tasks one call of a bulk operation handles, each of them with less work."""

MAX_BYTES: Final = 1024 * 1024
"""Bytes of messages after which a call, or a round trip of several, takes in no more.

Too much for typical tasks to reach: 128 of 8 KiB. With the largest payloads of a client's default
(1 MiB) a call carries two messages at most, which even 1 MB/s bring within the time an answer has.
"""

MAX_SHARES: Final = 8
"""Calls of one round trip that share `MAX_BYTES` when messages come back: each brings one task at
least, however large.
"""

SIDE_BY_SIDE: Final = 16
"""Queues of a cluster that are asked at a time: each has a connection of its own meanwhile."""

_pack: Final = msgspec.msgpack.Encoder().encode
_FOLDER: Final = resources.files("pyasynq.broker.redis") / "lua"
_SECTION: Final = re.compile(r"^-- (USES|NEEDS|GIVES|KEYS|ARGV|EACH|RETURNS)\b(.*)$", re.MULTILINE)
_TASKS: Final = ("each", "stride")
_NO_BYTES: Final = repeat(0)
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
        shared = _shared(name, sections, {*self.keys, *self.args, *(_TASKS if self.each else ())})
        names = _locals("KEYS", self.keys) + _locals("ARGV", self.args)
        tasks = (
            f"local each, stride = cmsgpack.unpack(ARGV[{len(self.args) + 1}]), {len(self.each)} "
        )
        self.lua = f"{names}{tasks if self.each else ''}\n{shared}{_code(text)}"
        self.sha = hashlib.sha1(self.lua.encode(), usedforsecurity=False).hexdigest()
        self._names = [*self.keys, *self.args]
        self._known = frozenset(self._names)

    def __call__(self, each: Sequence[Each] = (), /, **values: Word) -> Call:
        """Return a call with *values*, and *each*: what comes for every task, one after another.

        Raises:
            TypeError: If *values* are not exactly the names in the header.
        """
        if values.keys() != self._known or (each and not self.each):
            msg = f"{self.name}.lua takes {self._names} and each {self.each}, got {sorted(values)}"
            raise TypeError(msg)
        arguments: list[Word] = [len(self.keys)]
        arguments.extend([values[name] for name in self._names])
        if not self.each:
            carried = sum(len(value) for value in values.values() if isinstance(value, bytes))
            return Call(self, arguments, cast("int", values.get("budget", carried)))
        packed = _pack(each)
        arguments.append(packed)
        return Call(self, arguments, len(packed))


class _Batch:
    """The places of what goes out in one call, and the bytes of their messages."""

    __slots__ = ("places", "size")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.size = 0


def batches(
    paths: Iterable[Hashable], sizes: Iterable[int] = _NO_BYTES, *, most: int = MAX_TASKS
) -> list[list[int]]:
    """Return the places of what goes out in one call each.

    Those of one call have the same path, are at most *most*, and no more once they have
    `MAX_BYTES`.

    Args:
        paths: The path of each task.
        sizes: The bytes of the message that goes out with each; none when not given.
        most: How many one call handles.
    """
    made: list[_Batch] = []
    by_path: dict[Hashable, _Batch] = {}
    for place, (path, size) in enumerate(zip(paths, sizes, strict=False)):
        batch = by_path.get(path)
        if batch is None or len(batch.places) == most or batch.size >= MAX_BYTES:
            batch = by_path[path] = _Batch()
            made.append(batch)
        batch.places.append(place)
        batch.size += size
    return [batch.places for batch in made]


async def run(driver: Driver, call: Call) -> object:
    """Run *call* and return what the script returns.

    Raises:
        BrokerError: If Redis did not run it to the end.
    """
    try:
        once = not call.script.repeatable
        return await execute(driver, "EVALSHA", call.script.sha, *call.arguments, once=once)
    except BrokerError as error:
        if isinstance(error.__cause__, NoScriptError):
            return await execute(driver, "EVAL", call.script.lua, *call.arguments, once=True)
        raise


async def run_all(driver: Driver, calls: Sequence[Call]) -> list[object]:
    """Run *calls* in one round trip; a call that failed is answered with its `BrokerError`.

    Calls that carry too much for one go out in several. After one that had no answer at all, the
    rest is not sent.
    """
    answers: list[object] = []
    for together in _round_trips(calls):
        replies = await _run_together(driver, together)
        answers += replies
        if all(isinstance(reply, BrokerUnavailableError) for reply in replies):
            break
    return answers + answers[-1:] * (len(calls) - len(answers))


def _round_trips(calls: Sequence[Call]) -> Iterator[Sequence[Call]]:
    """Yield *calls* in their order, each time until they have `MAX_BYTES`."""
    start = size = 0
    for end, call in enumerate(calls, 1):
        size += call.size
        if size >= MAX_BYTES or end == len(calls):
            yield calls[start:end]
            start, size = end, 0


async def _run_together(driver: Driver, calls: Sequence[Call]) -> list[object]:
    if len(calls) == 1:
        return [await _answer(driver, calls[0])]
    if not isinstance(driver, Redis):
        return await _by_queue(driver, calls)
    answers = await _pipelined(driver, calls)
    if is_broken(answers[0]) and all(call.script.repeatable for call in calls):
        return await _pipelined(driver, calls)
    return answers


async def _answer(driver: Driver, call: Call) -> object:
    try:
        return await run(driver, call)
    except BrokerError as error:
        return error


async def _by_queue(driver: Driver, calls: Sequence[Call]) -> list[object]:
    """Run the calls of one queue in their order, those of several side by side.

    Queues live on different nodes of a cluster, and every call has a connection of its own.
    """
    answers: list[object] = [None] * len(calls)
    turns = Turns(SIDE_BY_SIDE)
    by_queue: defaultdict[str, list[int]] = defaultdict(list)
    for place, call in enumerate(calls):
        by_queue[_hash_tag(call)].append(place)

    async def run_in_order(places: Sequence[int]) -> None:
        async with turns.turn():
            for place in places:
                answers[place] = await _answer(driver, calls[place])

    await asyncio.gather(*(run_in_order(places) for places in by_queue.values()))
    return answers


def _hash_tag(call: Call) -> str:
    """Return what pins the slot of the call's keys: the queue, in braces."""
    return str(call.arguments[1]).partition("}")[0]


async def _pipelined(driver: Redis, calls: Sequence[Call]) -> list[object]:
    pipeline = driver.pipeline(transaction=False)
    for call in calls:
        pipeline.execute_command("EVALSHA", call.script.sha, *call.arguments)
    try:
        async with answered(driver):
            answers = cast("list[object]", await pipeline.execute(raise_on_error=False))
    except BrokerError as error:
        return [error] * len(calls)
    except UnicodeEncodeError:  # not sent yet; alone each goes as it is to
        return [await _answer(driver, call) for call in calls]
    return [
        await _again(driver, call, answer) if isinstance(answer, Exception) else answer
        for call, answer in zip(calls, answers, strict=True)
    ]


async def _again(driver: Redis, call: Call, error: Exception) -> object:
    if isinstance(error, NoScriptError):
        return await _answer(driver, call)
    return await failed(driver, error)


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


enqueue = Script("enqueue")
schedule = Script("schedule")
group = Script("group")
relay = Script("relay", repeatable=True)
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
tick = Script("tick")
begin = Script("begin", repeatable=True)
entries = Script("entries")
shown = Script("shown", repeatable=True)
event = Script("event")
ripe_groups = Script("ripe_groups", repeatable=True)
stage = Script("stage")
members = Script("members", repeatable=True)
hold_set = Script("hold_set", repeatable=True)
combine = Script("combine")
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
