"""Take tasks, keep them, and say what became of them."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, cast

from pyasynq.broker.protocols import Lease, Taken, unix_s
from pyasynq.broker.redis import keys, scripts
from pyasynq.broker.redis.connection import ANSWER_S, Driver, Word, execute
from pyasynq.broker.redis.records import read_id, read_message, sent_id
from pyasynq.broker.redis.scripts import MAX_TASKS, Call, Each, blob
from pyasynq.errors import BrokerError
from pyasynq.message import encode
from pyasynq.settle import Archive, Complete, Done, Requeue, Retry, Verdict
from pyasynq.states import TaskState

STATISTICS_S: Final = 90 * 86_400
"""Life of a day's counters."""

WAIT_S: Final = 2
"""Longest block on an idle queue; an existing client may not wait longer for an answer."""


class RedisProcess:
    """The process path: one script call for each queue, or queue and kind of verdict."""

    def __init__(self, driver: Driver) -> None:
        """Send to *driver*."""
        self._driver = driver

    async def dequeue(
        self, counts: Mapping[str, int], *, owner: str, lease_s: float
    ) -> list[Taken | BrokerError]:
        """Take up to so many tasks from each queue of *counts*.

        A large count goes out as several calls, each answered by a `Taken` of its own.
        """
        # The lease is counted from before the call, so ours ends before the one in Redis does.
        expires_at = time.monotonic() + lease_s
        asked = [
            (queue, min(count - start, MAX_TASKS))
            for queue, count in counts.items()
            for start in range(0, count, MAX_TASKS)
        ]
        calls = [_dequeue(queue, n, owner, lease_s) for queue, n in asked]
        replies = await scripts.run_all(self._driver, calls)
        return [
            reply
            if isinstance(reply, BrokerError)
            else _taken(queue, n, cast("list[bytes | int]", reply), owner, expires_at)
            for (queue, n), reply in zip(asked, replies, strict=True)
        ]

    async def wait(self, queue: str) -> bool:
        """Block until *queue* has a task (True) or a few seconds have passed (False).

        The list's right end moves to its right end: nothing changes, but Redis holds the call back
        while the list is empty.
        """
        pending = keys.container(queue, TaskState.PENDING)
        command = ("BLMOVE", pending, pending, "RIGHT", "RIGHT", WAIT_S)
        return await execute(self._driver, *command, patience_s=WAIT_S + ANSWER_S) is not None

    async def settle(self, settled: Sequence[tuple[Lease, Verdict]]) -> list[bool | BrokerError]:
        """Write verdicts; each is answered True (written), False (lease lost) or an error."""
        batches = _batches(settled)
        today = datetime.now(UTC)
        calls = [_settle([settled[place] for place in places], today) for places in batches]
        replies = await scripts.run_all(self._driver, calls)
        answers: list[bool | BrokerError] = [False] * len(settled)
        for places, reply in zip(batches, replies, strict=True):
            for n, place in enumerate(places):
                answers[place] = (
                    reply if isinstance(reply, BrokerError) else cast("list[int]", reply)[n] == 1
                )
        return answers

    async def extend(self, leases: Sequence[Lease], *, lease_s: float) -> list[Lease]:
        """Extend *leases* in Redis and in place; return those that are lost.

        Raises:
            BrokerError: If Redis did not answer for some; the others are extended.
        """
        by_queue: defaultdict[str, list[Lease]] = defaultdict(list)
        for lease in leases:
            by_queue[lease.queue].append(lease)
        batches = [
            held[at : at + MAX_TASKS]
            for held in by_queue.values()
            for at in range(0, len(held), MAX_TASKS)
        ]
        expires_at = time.monotonic() + lease_s
        replies = await scripts.run_all(self._driver, [_extend(b, lease_s) for b in batches])
        lost: list[Lease] = []
        failure: BrokerError | None = None
        for batch, reply in zip(batches, replies, strict=True):
            if isinstance(reply, BrokerError):
                failure = reply
            else:
                lost += _extended(batch, cast("list[int]", reply), expires_at)
        if failure is not None and not lost:
            raise failure
        return lost

    async def write_result(self, lease: Lease, result: bytes) -> bool:
        """Store *result* beside the task; False if the lease is lost."""
        queue = lease.queue
        call = scripts.result(
            (lease.id, lease.owner, blob(result)),
            active=keys.container(queue, TaskState.ACTIVE),
            lease=keys.lease(queue),
            task_prefix=keys.task(queue),
        )
        return await scripts.run(self._driver, call) == [1]


def _dequeue(queue: str, count: int, owner: str, lease_s: float) -> Call:
    return scripts.dequeue(
        pending=keys.container(queue, TaskState.PENDING),
        active=keys.container(queue, TaskState.ACTIVE),
        lease=keys.lease(queue),
        paused=keys.paused(queue),
        task_prefix=keys.task(queue),
        count=count,
        owner=owner,
        lease_s=lease_s,
    )


def _taken(
    queue: str, asked: int, reply: Sequence[bytes | int], owner: str, expires_at: float
) -> Taken:
    paused, seen = cast("Sequence[int]", reply[:2])
    taken_at_s = time.time()
    leases: list[Lease] = []
    poison: list[Lease] = []
    fields = cast("Sequence[bytes]", reply)
    for at in range(2, len(fields), 2):
        message, sound = read_message(queue, fields[at], fields[at + 1])
        task_id = message.id or read_id(fields[at])
        lease = Lease(message, task_id, owner, taken_at_s, expires_at)
        (leases if sound else poison).append(lease)
    return Taken(
        queue=queue,
        leases=leases,
        poison=poison,
        ghosts=seen - (len(reply) - 2) // 2,
        empty=seen < asked,
        paused=bool(paused),
    )


def _batches(settled: Sequence[tuple[Lease, Verdict]]) -> list[list[int]]:
    """Return the places of what goes out in one call each."""
    by_path: defaultdict[tuple[str, type[Verdict]], list[int]] = defaultdict(list)
    for place, (lease, verdict) in enumerate(settled):
        by_path[lease.queue, type(verdict)].append(place)
    return [
        places[at : at + MAX_TASKS]
        for places in by_path.values()
        for at in range(0, len(places), MAX_TASKS)
    ]


def _settle(settled: Sequence[tuple[Lease, Verdict]], today: datetime) -> Call:
    lease, verdict = settled[0]
    each: list[Each] = []
    for held, decided in settled:
        each += (sent_id(held.id), held.owner, *_decided(held, decided))
    queue = lease.queue
    held_keys = {"active": keys.container(queue, TaskState.ACTIVE), "lease": keys.lease(queue)}
    prefix = keys.task(queue)
    if isinstance(verdict, Requeue):
        pending = keys.container(queue, TaskState.PENDING)
        return scripts.requeue(each, **held_keys, pending=pending, task_prefix=prefix)
    counted = _counters(queue, today) | {"task_prefix": prefix}
    match verdict:
        case Done():
            return scripts.done(each, **held_keys, **counted)
        case Complete():
            completed = keys.container(queue, TaskState.COMPLETED)
            return scripts.complete(each, **held_keys, completed=completed, **counted)
        case Retry():
            retry = keys.container(queue, TaskState.RETRY)
            return scripts.retry(each, **held_keys, retry=retry, **counted)
        case Archive():
            archived = keys.container(queue, TaskState.ARCHIVED)
            return scripts.archive(each, **held_keys, archived=archived, **counted)


def _decided(lease: Lease, verdict: Verdict) -> tuple[Each, ...]:
    """Return what the script's EACH names after id and owner."""
    match verdict:
        case Done():
            return (lease.message.unique_key,)
        case Complete(message=message, expires_at=expires_at):
            return blob(encode(message)), unix_s(expires_at), message.unique_key
        case Retry(message=message, at=at, failed=failed):
            return blob(encode(message)), unix_s(at), int(failed)
        case Archive(message=message):
            return ("" if message is None else blob(encode(message)),)
        case Requeue():
            return ()


def _counters(queue: str, today: datetime) -> dict[str, Word]:
    day = today.strftime("%Y-%m-%d")
    return {
        "processed": keys.processed(queue),
        "failed": keys.failed(queue),
        "processed_day": keys.processed(queue, day),
        "failed_day": keys.failed(queue, day),
        "day_ends_s": int(today.timestamp()) + STATISTICS_S,
    }


def _extend(leases: Sequence[Lease], lease_s: float) -> Call:
    queue = leases[0].queue
    each: list[Each] = []
    for lease in leases:
        each += (sent_id(lease.id), lease.owner)
    return scripts.extend(
        each,
        active=keys.container(queue, TaskState.ACTIVE),
        lease=keys.lease(queue),
        task_prefix=keys.task(queue),
        lease_s=lease_s,
    )


def _extended(batch: Sequence[Lease], replies: Sequence[int], expires_at: float) -> list[Lease]:
    lost: list[Lease] = []
    for lease, reply in zip(batch, replies, strict=True):
        if reply:
            lease.expires_at = expires_at
        else:
            lost.append(lease)
    return lost
