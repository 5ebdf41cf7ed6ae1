"""Compare tasks with what a test expects of one, and say how they differ."""

import difflib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict, cast

from pyasynq.app import TypedTask
from pyasynq.core.control import PayloadError
from pyasynq.core.durations import format_duration
from pyasynq.core.errors import OptionError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import check_instant
from pyasynq.core.states import TaskState
from pyasynq.core.task import Task

TOLERANCE: Final = timedelta(seconds=1)
"""A task may be due this much earlier or later than expected: brokers store whole seconds."""

LONGEST_VALUE: Final = 200
"""Characters of a value that a message shows."""

Types = Mapping[str, TypedTask[..., Any]]


class Facts(TypedDict, total=False):
    """What a test may expect of a task besides its arguments.

    Keys:
        queue: Its queue.
        group: Its group.
        id: Its id.
        state: Its state, such as ``scheduled``.
        payload: Its payload.
        headers: Headers that it has among others.
        process_at: When it is due, give or take a second.
        process_in: In what time it is due from now, give or take a second.
        arguments: Its arguments by name, if one of them has a name of this list.
    """

    queue: str
    group: str
    id: str
    state: str
    payload: bytes
    headers: Mapping[str, str]
    process_at: datetime
    process_in: timedelta
    arguments: Mapping[str, object]


class Expectation:
    """What a test expects of a task.

    Attributes:
        type: Its type; None for any.
    """

    def __init__(
        self,
        task: "TypedTask[..., Any] | Task | str | None",
        matches: Mapping[str, object],
        *,
        types: Types,
        now: datetime,
    ) -> None:
        """Expect *task*, with what *matches* names.

        Args:
            task: A typed task, the name of a type, a `Task` with its payload, or None for any.
            matches: `Facts`, and arguments by name.
            types: The typed tasks of the app, by type.
            now: The time by the test's clock.

        Raises:
            OptionError: If a fact cannot be.
            TypeError: If the typed task has no such parameter.
        """
        self._types = types
        self._now = now
        self._facts = {name: it for name, it in matches.items() if name in Facts.__annotations__}
        self._arguments = {name: it for name, it in matches.items() if name not in self._facts}
        self._arguments |= cast("Mapping[str, object]", self._facts.pop("arguments", {}))
        self.type: str | None = task if isinstance(task, str | None) else task.type
        if isinstance(task, Task):
            self._facts.setdefault("payload", task.payload or b"")
        if isinstance(task, TypedTask):
            self._types = {**types, task.type: task}
        self._due = self._expected_time()
        self._check_names()

    def differences(self, info: TaskInfo) -> list[str]:
        """Return how *info* differs, a text for each difference; none if it is what is expected."""
        found: list[str] = []
        if self.type not in {None, info.type}:
            found.append(f"type is {info.type!r}")
        found += [
            f"{name} is {_shorten(getattr(info, name))}"
            for name, expected in self._facts.items()
            if not _fits(name, expected, getattr(info, name))
        ]
        due = info.next_process_at or self._now
        if self._due is not None and abs(due - self._due) > TOLERANCE:
            found.append(_describe_time(info, self._now) or "due now")
        return found + self._differing_arguments(info)

    def _differing_arguments(self, info: TaskInfo) -> list[str]:
        if not self._arguments:
            return []
        arguments = arguments_of(info, self._types)
        if arguments is None:
            return ["its payload has no arguments"]
        return [
            f"{name} is {_shorten(arguments[name])}" if name in arguments else f"has no {name}"
            for name, expected in self._arguments.items()
            if name not in arguments or arguments[name] != expected
        ]

    def __str__(self) -> str:
        """Return what is expected, in the form in which tasks are listed."""
        called = ", ".join(f"{name}={_shorten(it)}" for name, it in self._arguments.items())
        parts = [f"{self.type or 'any task'}({called})"]
        parts += [f"{name} {_shorten(it)}" for name, it in self._facts.items()]
        if self._due is not None:
            parts.append(f"due {_relative(self._due, self._now)}")
        return ", ".join(parts)

    def _expected_time(self) -> datetime | None:
        at, after = self._facts.pop("process_at", None), self._facts.pop("process_in", None)
        if at is not None and after is not None:
            raise OptionError("process_in", after, "left out when process_at is given")
        if after is not None:
            if not isinstance(after, timedelta):
                raise OptionError("process_in", after, "a timedelta")
            return self._now + after
        return None if at is None else check_instant("process_at", at)

    def _check_names(self) -> None:
        """Check that the typed task has parameters of the expected names.

        A wrong name would match no task, so `refute_enqueued` would always pass.
        """
        typed = self._types.get(self.type or "")
        if typed is None:
            return
        known = typed.parameters
        for name in self._arguments:
            if name not in known:
                close = difflib.get_close_matches(name, [*known, *Facts.__annotations__], n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                msg = f"the task {typed.type!r} takes ({', '.join(known)}), not {name!r}{hint}"
                raise TypeError(msg)


def arguments_of(info: TaskInfo, types: Types) -> dict[str, Any] | None:
    """Return the arguments of *info* by name; None if its payload has none."""
    typed = types.get(info.type)
    if typed is not None:
        try:
            return typed.arguments(Task(info.type, info.payload))
        except PayloadError:
            return None
    try:
        decoded = json.loads(info.payload)
    except ValueError:
        return None
    return cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else None


def describe(info: TaskInfo, types: Types, now: datetime) -> str:
    """Return one line about *info*: type, arguments, queue, and when it is due."""
    arguments = arguments_of(info, types)
    if arguments is None:
        called = _shorten(info.payload) if info.payload else ""
    else:
        called = ", ".join(f"{name}={_shorten(it)}" for name, it in arguments.items())
    group = f", group {info.group!r}" if info.state is TaskState.AGGREGATING else ""
    due = _describe_time(info, now)
    return f"{info.type}({called}), queue {info.queue!r}{group}{f', {due}' if due else ''}"


def _fits(name: str, expected: object, found: object) -> bool:
    if name == "headers":
        wanted = cast("Mapping[str, str]", expected)
        return wanted.items() <= cast("Mapping[str, str]", found).items()
    return bool(found == expected)


def _describe_time(info: TaskInfo, now: datetime) -> str:
    """Return when *info* is due; empty if it is now."""
    at = info.next_process_at
    return "" if at is None or at <= now else f"due {_relative(at, now)}"


def _relative(at: datetime, now: datetime) -> str:
    away = timedelta(seconds=round((at - now).total_seconds()))
    return f"in {format_duration(away)}" if away else "now"


def _shorten(value: object) -> str:
    if isinstance(value, TaskState):
        return value.value
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
