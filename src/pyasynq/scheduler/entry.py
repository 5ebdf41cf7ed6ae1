"""One entry: a task and its ticks. Pure: it is told the time.

Source:
    Protocol section 7.2 (asynq v0.26.0 ``scheduler.go``).

Differs:
    An entry's id is made from its definition, so it is the same in every process and after every
    start (D48, D51); ticks after the last known one are not lost unless that is wanted (D48).
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
"""A tick that is less late than this is not missed: a restart may take so long."""
REMEMBERED: Final = timedelta(days=90)
"""Time for which a last tick is known after the tick that was to follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicTask:
    """What a provider wants to be enqueued periodically.

    Attributes:
        spec: Cron text.
        task: The task.
        options: Options for each enqueueing; they win over the task's own.
        catch_up: What becomes of missed ticks; None is what the scheduler says.
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
        options: Options given with the entry, on top of the task's own.
        merged: Those, and under them the task's own.
        queue: Queue of the task.
        catch_up: What becomes of missed ticks.
        last: The last tick, or where the entry began; None as long as that is not known.
        ran: The last tick at which it was enqueued, if that is known.
        upcoming: The first tick that has not been dealt with; None if none comes.
    """

    def __init__(self, wanted: PeriodicTask, *, location: tzinfo, catch_up: CatchUp) -> None:
        """Make the entry that is *wanted*.

        Args:
            wanted: The definition.
            location: Time zone of a spec that names none.
            catch_up: What becomes of missed ticks if the definition does not say.

        Raises:
            OptionError: If the definition cannot work.
            TypeError: If an option is unknown.
        """
        check_catch_up(wanted.catch_up or catch_up)
        self.spec: str = wanted.spec
        self.task: Task = wanted.task
        self.options: Options = check_all(cast("dict[str, object]", wanted.options))
        self.last: datetime | None = None
        self.ran: datetime | None = None
        self.upcoming: datetime | None = None
        self.merged: Options = merge(self.task.options, self.options)
        self.queue: str = self.merged.queue or DEFAULT_QUEUE
        self._schedule = cron.parse(self.spec, location=location)
        self.id: str = _id(self.spec, self.task, self.options, location)
        self.catch_up = wanted.catch_up or catch_up

    def ticks_after(self, now: datetime) -> bool:
        """Return whether a tick comes within the next years."""
        return self._schedule.next(now) is not None

    def begin(self, last: datetime, *, known: bool = False) -> None:
        """Go on after *last*: a tick that Redis knew if it is *known*, else where we begin."""
        if known and self._schedule.next(last - SECOND) == last:
            self.ran = last
        self._go_on_after(last)

    def move(self, last: datetime) -> None:
        """Note that the entry was enqueued at the tick *last*, here or elsewhere."""
        self.ran = last
        self._go_on_after(last)

    def pass_over(self, now: datetime) -> None:
        """Leave out the ticks until *now*."""
        self.upcoming = self._schedule.next(now)

    def due(self, now: datetime) -> datetime | None:
        """Return the tick to enqueue at now; None if nothing is due, or all that is was missed."""
        first = self.upcoming
        if first is None or first > now:
            return None
        if self.catch_up == "all":
            return first
        latest = self._latest(first, now)
        return latest if self.catch_up == "once" or now - latest < GRACE else None

    def task_id(self, tick: datetime) -> str:
        """Return the id of the task of *tick*, which is the same in every process."""
        digest = hashlib.sha256(f"{self.id} {int(tick.timestamp())}".encode())
        return _uuid_form(digest.hexdigest())

    def ttl_s(self, tick: datetime) -> int:
        """Return the seconds for which *tick* must be known as the last one."""
        following = self._schedule.next(tick) or tick
        return (following - tick + REMEMBERED) // SECOND

    def info(self, now: datetime, *, hidden: bool = False) -> SchedulerEntry:
        """Return the entry as people read it; without its payload if that is to be *hidden*."""
        following = self._schedule.next(now) if self.last is None else self.upcoming
        return SchedulerEntry(
            id=self.id,
            spec=self.spec,
            task=Task(self.task.type) if hidden else self.task,
            options=self.options,
            next=following,
            prev=self.ran,
        )

    def _go_on_after(self, last: datetime) -> None:
        self.last = last
        self._schedule = self._schedule.anchored(last)
        self.upcoming = self._schedule.next(last)

    def _latest(self, first: datetime, now: datetime) -> datetime:
        """Return the last tick that is due; *first* is one.

        Halves the time in which it must lie: between two ticks there may be a second or years.
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


def check(wanted: PeriodicTask) -> None:
    """Check that *wanted* can be an entry.

    Raises:
        OptionError: If it cannot work.
        TypeError: If an option is unknown.
    """
    Entry(wanted, location=UTC, catch_up="skip")


def check_catch_up(value: object) -> None:
    """Check that *value* is a way to catch up.

    Raises:
        OptionError: If it is not.
    """
    if value not in get_args(CatchUp):
        raise OptionError("catch_up", value, '"skip", "once" or "all"')


def _id(spec: str, task: Task, options: Options, location: tzinfo) -> str:
    """Return the id of a definition: all of it counts, and each part ends where it ends."""
    digest = hashlib.sha256()
    parts = [spec.encode(), _name(location).encode(), task.type.encode()]
    parts.append(b"" if task.payload is None else b"=" + task.payload)
    for texts in (
        sorted(f"{_escaped(name)}={value}" for name, value in task.headers.items()),
        sorted(option_texts.format_options(task.options)),
        sorted(option_texts.format_options(options)),
    ):
        parts += [struct.pack(">Q", len(texts)), *(text.encode() for text in texts)]
    for part in parts:
        digest.update(struct.pack(">Q", len(part)) + part)
    return _uuid_form(digest.hexdigest())


def _name(location: tzinfo) -> str:
    """Return the zone's name; a class that names no zone would name its place in memory."""
    kind = type(location)
    named = kind.__str__ is not object.__str__ or kind.__repr__ is not object.__repr__
    return str(location) if named else f"{kind.__module__}.{kind.__qualname__}"


def _escaped(name: str) -> str:
    return name.replace("\\", r"\\").replace("=", r"\=")


def _uuid_form(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"
