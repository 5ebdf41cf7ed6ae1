"""The overview: rates, totals and alerts, computed from what was read. Pure."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from pyasynq.core.info import QueueInfo, ServerInfo
from pyasynq.core.json_form import fields
from pyasynq.core.states import TaskState
from pyasynq.diagnosis.checks import Check, Value
from pyasynq.diagnosis.diagnosis import resume_advice

WAITING: Final = ("pending", "active", "scheduled", "retry", "aggregating")
"""States of tasks that are still to run, or run now."""

LONG_WAIT: Final = timedelta(minutes=1)
"""A shorter wait is no reason for an alert, even if it grows."""

GROWN: Final = 100
"""Tasks by which an archive must have grown for an alert."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What was read at one time.

    Attributes:
        at: When.
        queues: All queues that can be read, sorted by name.
        unreadable: The other queues, and why each cannot be read.
        servers: The running servers.
    """

    at: datetime
    queues: Sequence[QueueInfo]
    unreadable: Mapping[str, str] = {}
    servers: Sequence[ServerInfo]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an operator should look at.

    Attributes:
        id: The same for as long as it lasts.
        level: ``problem``: act now; ``warning``: look at it.
        subject: What it is about, in one word.
        queue: The queue that it is about, if it is one.
        message: What is wrong.
        advice: What to do; empty if there is nothing to do.
        code: Names what is wrong, for translations; empty if only *message* says it.
        values: What *message* and *advice* say beside the words that belong to *code*, by name.
        node: Address of the node of a cluster that it is about, with which *message* begins.
    """

    id: str
    level: str
    subject: str
    queue: str | None
    message: str
    advice: str = ""
    code: str = ""
    values: Mapping[str, Value] = {}
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Earlier readings that the present one is compared with.

    Attributes:
        before: A reading some seconds ago; None if there is none.
        minute: A reading up to a minute ago; None if there is none.
        minutes_ago: A reading some ten minutes ago; None if there is none.
        hours: For each queue its runs in each of the last 60 minutes; None if they are not known.
    """

    before: Reading | None
    minute: Reading | None
    minutes_ago: Reading | None
    hours: Mapping[str, Sequence[int]]


def overview(now: Reading, past: Past, alerts: Sequence[Alert] = ()) -> dict[str, object]:
    """Return the document of *now*; *alerts* come from elsewhere."""
    rows = queue_rows(now, past)
    return {
        "at": now.at,
        "queues": rows,
        "totals": _totals(now, rows),
        "alerts": [*alerts, *queue_alerts(now, past.minutes_ago)],
    }


def queue_rows(now: Reading, past: Past) -> list[dict[str, object]]:
    """Return the members of each queue."""
    before, minute = _by_name(past.before), _by_name(past.minute)
    return [
        {
            **fields(queue),
            **_rates(queue, before.get(queue.queue)),
            "failed_per_min": _failures(queue, minute.get(queue.queue)),
            **_serving(queue.queue, now.servers),
            "hour": past.hours.get(queue.queue),
        }
        for queue in now.queues
    ]


def _by_name(reading: Reading | None) -> dict[str, QueueInfo]:
    return {} if reading is None else {queue.queue: queue for queue in reading.queues}


def _rates(now: QueueInfo, before: QueueInfo | None) -> dict[str, float | None]:
    """Return rates since *before*; what operators delete or run again meanwhile distorts them."""
    seconds = _seconds(now, before)
    if before is None or not seconds:
        return {"in_per_s": None, "out_per_s": None}
    ended = max(0, now.processed_total - before.processed_total)
    failed = max(0, now.failed_total - before.failed_total)
    archived = max(0, now.archived - before.archived)
    added = _unfinished(now) - _unfinished(before) + ended - failed + archived
    return {
        "in_per_s": round(max(0, added) / seconds, 3),
        "out_per_s": round(ended / seconds, 3),
    }


def _failures(now: QueueInfo, before: QueueInfo | None) -> float | None:
    """Return the failures per minute since *before*."""
    seconds = _seconds(now, before)
    if before is None or not seconds:
        return None
    return round(60 * max(0, now.failed_total - before.failed_total) / seconds, 3)


def _seconds(now: QueueInfo, before: QueueInfo | None) -> float:
    return 0.0 if before is None else (now.timestamp - before.timestamp).total_seconds()


def _unfinished(queue: QueueInfo) -> int:
    return sum(int(getattr(queue, state)) for state in WAITING)


def _serving(queue: str, servers: Sequence[ServerInfo]) -> dict[str, int]:
    """Return how many servers take tasks of *queue*, their slots, and how many take none now."""
    of_queue = [server for server in servers if queue in server.queues]
    taking = [server for server in of_queue if server.takes_tasks]
    return {
        "servers": len(taking),
        "slots": sum(server.concurrency for server in taking),
        "quiet": len(of_queue) - len(taking),
    }


def _totals(now: Reading, rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    states = {
        name: sum(int(getattr(queue, name)) for queue in now.queues)
        for name in ("size", *(state.value for state in TaskState))
    }
    return {
        **states,
        **{name: _sum(rows, name) for name in ("in_per_s", "out_per_s", "failed_per_min")},
        "queues": len(now.queues),
        "paused": sum(queue.paused for queue in now.queues),
        "servers": len(now.servers),
        "quiet": sum(not server.takes_tasks for server in now.servers),
        "slots": sum(map(_slots, now.servers)),
        "busy": sum(server.active_worker_count for server in now.servers),
    }


def _slots(server: ServerInfo) -> int:
    """Return the slots of *server*; if it takes no tasks, only those that are still busy."""
    return server.concurrency if server.takes_tasks else server.active_worker_count


def _sum(rows: Sequence[Mapping[str, object]], name: str) -> float | None:
    values = [value for row in rows if isinstance(value := row[name], int | float)]
    return round(sum(values), 3) if values else None


def broker_alerts(checks: Sequence[Check]) -> list[Alert]:
    """Return the alerts about the broker and the servers; those about queues come each second."""
    return [
        Alert(
            id=f"check:{check.check}",
            level=check.status,
            subject=check.check,
            queue=None,
            message=check.message,
            advice=check.advice,
            code=check.code,
            values=check.values,
            node=check.node,
        )
        for check in checks
        if check.status in {"problem", "warning"} and check.check != "queues"
    ]


def queue_alerts(now: Reading, earlier: Reading | None) -> Iterator[Alert]:
    """Yield the alerts about queues."""
    for name, reason in now.unreadable.items():
        yield Alert(
            id=f"queue-unreadable:{name}",
            level="problem",
            subject=name,
            queue=name,
            message=f"the queue cannot be read: {reason}",
        )
    before = _by_name(earlier)
    for queue in now.queues:
        yield from _unserved(queue, now.servers)
        if earlier is not None and (known := before.get(queue.queue)) is not None:
            yield from _trends(queue, known, now.at - earlier.at)


def _unserved(queue: QueueInfo, servers: Sequence[ServerInfo]) -> Iterator[Alert]:
    """Yield an alert if tasks of *queue* wait, and no server takes them."""
    waiting = _unfinished(queue) - queue.active
    of_queue = [server for server in servers if queue.queue in server.queues]
    if not waiting or any(server.takes_tasks for server in of_queue):
        return
    kind, level = "queue-without-worker", "problem"
    tasks = "1 task waits" if waiting == 1 else f"{waiting:,} tasks wait"
    message = f"{tasks}, and no worker serves the queue"
    advice = f"pyasynq worker module:app -Q {shlex.quote(queue.queue)}"
    if of_queue:  # an operator has made them quiet, or they stop
        kind, level = "queue-quiet", "warning"
        message = f"{tasks}, and the workers that serve the queue take no tasks"
        advice = resume_advice(of_queue)
    yield Alert(
        id=f"{kind}:{queue.queue}",
        level=level,
        subject=queue.queue,
        queue=queue.queue,
        message=message,
        advice=advice,
    )


def _trends(queue: QueueInfo, before: QueueInfo, span: timedelta) -> Iterator[Alert]:
    minutes = max(1, round(span.total_seconds() / 60))
    if queue.latency > LONG_WAIT and queue.latency > 2 * before.latency and not queue.paused:
        yield Alert(
            id=f"wait-grows:{queue.queue}",
            level="warning",
            subject=queue.queue,
            queue=queue.queue,
            message=f"the oldest wait grew from {_minutes(before.latency)} to"
            f" {_minutes(queue.latency)} in {minutes} min",
            advice="start more workers, or look for slow tasks",
        )
    grown = queue.archived - before.archived
    if grown >= GROWN:
        yield Alert(
            id=f"archive-grows:{queue.queue}",
            level="warning",
            subject=queue.queue,
            queue=queue.queue,
            message=f"the archive grew by {grown:,} tasks in {minutes} min",
            advice="look at their errors",
        )


def _minutes(duration: timedelta) -> str:
    if duration < 2 * LONG_WAIT:
        return f"{duration.total_seconds():.0f} s"
    return f"{duration // timedelta(minutes=1)} min"
