"""One entry: a task and its ticks. Pure: the time is an argument.

Source:
    Protocol section 7.2 (asynq v0.26.0 ``scheduler.go``).

Differs:
    An entry's id is a hash of its definition, so it is the same in every process and after every
    start (D48, D51); missed ticks after the last known one are enqueued if `catch_up` says so
    (D48).
"""

import hashlib
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal, TypeAlias, cast, get_args

from pyasynq.core import cron, option_texts
from pyasynq.core.errors import OptionError
from pyasynq.core.info import SchedulerEntry
from pyasynq.core.options import DEFAULT_QUEUE, EnqueueOptions, Options, check_all, merge
from pyasynq.core.task import Task

CatchUp: TypeAlias = Literal["skip", "once", "all"]

SECOND: Final = timedelta(seconds=1)
GRACE: Final = timedelta(seconds=30)
"""A tick that is less late than this is not missed: a restart may take this long."""
LAST_TICK_TTL: Final = timedelta(days=90)
"""Redis keeps an entry's last tick for this time after the tick that follows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicTask:
    """A task that is to be enqueued periodically.

    Attributes:
        spec: Cron text.
        task: The task.
        options: Options for each enqueueing; they win over the task's own.
        catch_up: How to treat missed ticks; None uses the scheduler's setting.
    """

    spec: str
    task: Task
    options: EnqueueOptions = field(default_factory=EnqueueOptions)
    catch_up: CatchUp | None = None


class Entry:
    """A task and its ticks.

    Attributes:
        id: Hash of the definition, in the form of a UUID.
        spec: Cron text.
        task: The task.
        options: Options given with the entry; they win over the task's own.
        merged: The task's own options, overridden by `options`.
        queue: Queue of the task.
        catch_up: How to treat missed ticks.
        last: The last tick, or the instant at which the entry began; None until one is known.
        ran: The last tick at which the task was enqueued; None if it is not known.
        upcoming: The first tick that is neither enqueued nor skipped; None if no tick comes.
    """

    def __init__(self, definition: PeriodicTask, *, location: tzinfo, catch_up: CatchUp) -> None:
        """Make the entry of *definition*.

        Args:
            definition: Task, spec and options.
            location: Time zone of a spec that names none.
            catch_up: How to treat missed ticks if the definition does not say.

        Raises:
            OptionError: If the definition cannot work.
            TypeError: If an option is unknown.
        """
        check_catch_up(definition.catch_up or catch_up)
        self.spec: str = definition.spec
        self.task: Task = definition.task
        self.options: Options = check_all(cast("dict[str, object]", definition.options))
        self.last: datetime | None = None
        self.ran: datetime | None = None
        self.upcoming: datetime | None = None
        self.merged: Options = merge(self.task.options, self.options)
        self.queue: str = self.merged.queue or DEFAULT_QUEUE
        self._schedule = cron.parse(self.spec, location=location)
        self.id: str = _hash_definition(self.spec, self.task, self.options, location)
        self.catch_up = definition.catch_up or catch_up

    def has_tick_after(self, now: datetime) -> bool:
        """Return whether a tick comes within five years after *now*."""
        return self._schedule.next(now) is not None

    def start_after(self, last: datetime, *, known: bool = False) -> None:
        """Begin after *last*: the last tick, if Redis knew one (*known*), else the start time."""
        if known and self._schedule.next(last - SECOND) == last:
            self.ran = last
        self._continue_after(last)

    def mark_enqueued(self, last: datetime) -> None:
        """Note that some scheduler has enqueued the task at the tick *last*."""
        self.ran = last
        self._continue_after(last)

    def skip_until(self, now: datetime) -> None:
        """Skip the ticks until *now*."""
        self.upcoming = self._schedule.next(now)

    def due(self, now: datetime) -> datetime | None:
        """Return the tick to enqueue at *now*; None if none is due, or all due ones are missed."""
        first = self.upcoming
        if first is None or first > now:
            return None
        if self.catch_up == "all":
            return first
        latest = self._latest_due(first, now)
        return latest if self.catch_up == "once" or now - latest < GRACE else None

    def task_id(self, tick: datetime) -> str:
        """Return the id of the task of *tick*, which is the same in every process."""
        return tick_task_id(self.id, tick)

    def ttl_s(self, tick: datetime) -> int:
        """Return the seconds for which Redis must keep *tick* as the last tick."""
        following = self._schedule.next(tick) or tick
        return (following - tick + LAST_TICK_TTL) // SECOND

    def info(self, now: datetime, *, hidden: bool = False) -> SchedulerEntry:
        """Return the entry as inspectors see it; *hidden* leaves out its payload and headers."""
        following = self._schedule.next(now) if self.last is None else self.upcoming
        return SchedulerEntry(
            id=self.id,
            spec=self.spec,
            task=Task(self.task.type) if hidden else self.task,
            options=self.options,
            next=following,
            prev=self.ran,
        )

    def _continue_after(self, last: datetime) -> None:
        self.last = last
        self._schedule = self._schedule.anchor_at(last)
        self.upcoming = self._schedule.next(last)

    def _latest_due(self, first: datetime, now: datetime) -> datetime:
        """Return the last tick from *first* until *now*.

        A binary search in time: two ticks may be a second or years apart.
        """
        early, late, latest = first, now, first
        while late - early >= SECOND:
            middle = early + (late - early) / 2
            tick = self._schedule.next(middle)
            if tick is not None and tick <= now:
                early = latest = tick
            else:
                late = middle
        return latest


def tick_task_id(entry_id: str, tick: datetime) -> str:
    """Return the id of the task of an entry's *tick*, unless the options of the task give one."""
    digest = hashlib.sha256(f"{entry_id} {int(tick.timestamp())}".encode())
    return _format_uuid(digest.hexdigest())


def check(definition: PeriodicTask) -> None:
    """Check that *definition* can be an entry.

    Raises:
        OptionError: If it cannot work.
        TypeError: If an option is unknown.
    """
    Entry(definition, location=UTC, catch_up="skip")


def check_catch_up(value: object) -> None:
    """Check that *value* is a `CatchUp`.

    Raises:
        OptionError: If it is not.
    """
    if value not in get_args(CatchUp):
        raise OptionError("catch_up", value, '"skip", "once" or "all"')


def _hash_definition(spec: str, task: Task, options: Options, location: tzinfo) -> str:
    """Return the id of a definition: a hash of all its parts, each with its length."""
    digest = hashlib.sha256()
    parts = [spec.encode(), _zone_name(location).encode(), task.type.encode()]
    parts.append(b"" if task.payload is None else b"=" + task.payload)
    for texts in (
        sorted(f"{_escape(name)}={value}" for name, value in task.headers.items()),
        sorted(option_texts.format_options(task.options)),
        sorted(option_texts.format_options(options)),
    ):
        parts += [struct.pack(">Q", len(texts)), *(text.encode() for text in texts)]
    for part in parts:
        digest.update(struct.pack(">Q", len(part)) + part)
    return _format_uuid(digest.hexdigest())


def _zone_name(location: tzinfo) -> str:
    """Return the zone's name; its class's name if its text would only be a memory address."""
    kind = type(location)
    named = kind.__str__ is not object.__str__ or kind.__repr__ is not object.__repr__
    return str(location) if named else f"{kind.__module__}.{kind.__qualname__}"


def _escape(name: str) -> str:
    return name.replace("\\", r"\\").replace("=", r"\=")


def _format_uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"
