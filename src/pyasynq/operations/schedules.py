"""What happened to the tasks that entries of schedulers have enqueued."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from pyasynq.broker import Broker
from pyasynq.core import cron
from pyasynq.core.errors import BrokerError, OptionError
from pyasynq.core.info import SchedulerEntry, SchedulerEvent
from pyasynq.core.options import DEFAULT_QUEUE
from pyasynq.core.states import TaskState
from pyasynq.operations.concurrency import gather
from pyasynq.runtime.loggers import get_logger
from pyasynq.scheduler.entry import GRACE, tick_task_id

log: Final = get_logger("pyasynq.dashboard")

Outcome: TypeAlias = Literal["succeeded", "failed", "running", "waiting", "not_kept"]
"""What happened to a task; one that is not there any more was not kept, or somebody deleted it."""

OUTCOMES: Final[Mapping[TaskState | None, Outcome]] = {
    TaskState.COMPLETED: "succeeded",
    TaskState.RETRY: "failed",
    TaskState.ARCHIVED: "failed",
    TaskState.ACTIVE: "running",
    None: "not_kept",
}
"""The outcome by the state of the task; in all others it waits."""

LAST_RUNS: Final = 10
"""Runs of an entry that are read."""

MOST_TASKS: Final = 2000
"""Tasks of all entries whose outcome is looked up."""

MOST_TICKS: Final = 30
"""Ticks of an entry that are looked at."""

SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A task that an entry has enqueued.

    Attributes:
        task_id: Id of the task.
        enqueued_at: When it was enqueued.
        outcome: What happened to it; None if that was not looked up.
    """

    task_id: str
    enqueued_at: datetime
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRuns:
    """What an entry has enqueued lately.

    Attributes:
        queue: The queue of its tasks.
        runs: The last `LAST_RUNS`, the newest first.
        without_task: Ticks since the first of them at which nothing was enqueued, at most
            `MOST_TICKS`; None if that cannot be known.
    """

    queue: str
    runs: Sequence[Run]
    without_task: int | None


async def read_runs(broker: Broker, entries: Sequence[SchedulerEntry]) -> list[EntryRuns]:
    """Return what each of *entries* has enqueued.

    Outcomes of the first `MOST_TASKS` tasks are looked up. If one cannot be read, all are None.
    """

    async def read_events(entry: SchedulerEntry) -> list[SchedulerEvent]:
        return await broker.schedules.events(entry.id, page=1, size=LAST_RUNS)

    async def read_queue(entry: SchedulerEntry) -> str:
        if entry.options.queue is not None:
            return entry.options.queue
        stored = await broker.entries.task(entry.id)  # the queue may be an option of its task
        return DEFAULT_QUEUE if stored is None else stored.queue

    queues = await gather(entries, read_queue)
    events = await gather(entries, read_events)
    found = list(zip(entries, queues, events, strict=True))
    tasks = [(queue, event.task_id) for _, queue, some in found for event in some][:MOST_TASKS]
    states = await _read_states(broker, tasks)
    now = datetime.now(UTC)
    return [
        EntryRuns(
            queue=queue,
            runs=[_run(queue, event, states) for event in some],
            without_task=ticks_without_task(entry, some, now),
        )
        for entry, queue, some in found
    ]


async def _read_states(
    broker: Broker, tasks: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], TaskState | None]:
    """Return the states of *tasks*; nothing if one cannot be read, because its key is broken."""
    try:
        return dict(zip(tasks, await broker.schedules.states(tasks), strict=True))
    except BrokerError as error:
        log.warning("entries of schedulers are shown without outcomes of their tasks: %s", error)
        return {}


def _run(
    queue: str, event: SchedulerEvent, states: Mapping[tuple[str, str], TaskState | None]
) -> Run:
    key = (queue, event.task_id)
    outcome: Outcome | None = OUTCOMES.get(states[key], "waiting") if key in states else None
    return Run(task_id=event.task_id, enqueued_at=event.enqueued_at, outcome=outcome)


def ticks_without_task(
    entry: SchedulerEntry, events: Sequence[SchedulerEvent], now: datetime
) -> int | None:
    """Return how many ticks of *entry* have enqueued nothing since the first of *events*.

    Then no scheduler ran, the entry was paused, or the task was refused. The id of a task tells
    its tick, but is random if the entry is of Go; the spec tells the ticks, but without a zone it
    may mean another one than UTC. Unless the last tick is found by its id and by the spec, nothing
    is known.

    Args:
        entry: The entry.
        events: What it has enqueued, the newest first.
        now: Current time, UTC.

    Returns:
        Their number, at most `MOST_TICKS`; None if it is not known, or the entry is paused now.
    """
    ids = {event.task_id for event in events}
    if entry.paused or entry.prev is None or tick_task_id(entry.id, entry.prev) not in ids:
        return None
    first = min(event.enqueued_at for event in events)
    schedule = _schedule(entry.spec, entry.prev, first)
    if schedule is None or schedule.next(entry.prev - SECOND) != entry.prev:
        return None
    ticks = {tick_task_id(entry.id, tick): tick for tick in _ticks(schedule, first, now)}
    missing = [tick for it, tick in ticks.items() if it not in ids and tick < now - GRACE]
    until = max(ticks.values()) if len(ticks) == MOST_TICKS else now
    # Somebody has run it by hand, or the clocks of its zone have changed: too few are better.
    others = [it for it in events if first < it.enqueued_at <= until and it.task_id not in ticks]
    return max(0, len(missing) - len(others))


def _schedule(spec: str, last: datetime, first: datetime) -> cron.Schedule | None:
    """Return the schedule of *spec*; relative ticks count back from the *last* to the *first*."""
    try:
        schedule = cron.parse(spec)
    except OptionError:  # of another version, or of Go
        return None
    if isinstance(schedule, cron.Every):
        periods = max(0, (last - first) // schedule.period) + 1
        return schedule.anchor_at(last - periods * schedule.period)
    return schedule


def _ticks(schedule: cron.Schedule, after: datetime, until: datetime) -> list[datetime]:
    """Return the ticks from *after* until *until*, at most `MOST_TICKS`."""
    ticks: list[datetime] = []
    tick = schedule.next(after)
    while tick is not None and tick <= until and len(ticks) < MOST_TICKS:
        ticks.append(tick)
        tick = schedule.next(tick)
    return ticks
