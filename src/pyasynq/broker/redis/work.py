"""Take tasks, extend their leases, and write their verdicts."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias, cast

from pyasynq.broker.ports.work import DequeueResult, Lease
from pyasynq.broker.records import decode_name, read_message, restore_run_history
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import ANSWER_S, CommandArg, Driver, block_s, execute
from pyasynq.broker.redis.letters import body_of, log_refusal
from pyasynq.broker.redis.lua import batches as batch_scripts
from pyasynq.broker.redis.lua import work as scripts
from pyasynq.broker.redis.reports import receiver_values
from pyasynq.broker.redis.scripts import Call, Each, blob, pack
from pyasynq.broker.redis.task_records import ATTEMPT_FIELDS
from pyasynq.core.errors import BrokerError
from pyasynq.core.message import encode, unix_s
from pyasynq.core.policy import (
    ARCHIVE_S,
    END_NOTICE_TTL_S,
    MAX_BYTES,
    MAX_SHARES,
    MAX_TASKS,
    MOST_ARCHIVED,
    STATISTICS_S,
)
from pyasynq.core.report import Entry, Report, queue_of
from pyasynq.core.states import TaskState
from pyasynq.core.verdict import DONE, Archive, Complete, Done, Requeue, Retry, Verdict
from pyasynq.runtime.clock import Clock

SCAN: Final = 500
"""Ids of ``active`` that one call reads."""

WAIT_S: Final = 10
"""Longest block on an idle queue; a user's own client may not wait this long for an answer."""

FIRST_TASK: Final = 5
"""Index of the first task in the reply of a dequeue."""

WITHOUT_MESSAGE: Final = (Done, Requeue)
"""Verdicts without a message."""

FOLLOWER_SIZE: Final = MAX_BYTES // MAX_TASKS
"""What an entry that follows counts at least, bytes: `MAX_TASKS` of them fill a call."""

Settled: TypeAlias = tuple[Lease, Verdict]


class RedisWork:
    """The work port: one script call for each queue, or for each queue and kind of verdict."""

    def __init__(self, driver: Driver, clock: Clock) -> None:
        """Send calls over *driver*; the worker's side of leases ends by *clock*."""
        self._driver = driver
        self._clock = clock

    async def dequeue(
        self, counts: Mapping[str, int], *, owner: str, lease_s: float
    ) -> list[DequeueResult]:
        """Take up to the given number of tasks from each queue.

        A large count needs several calls, each with its own `DequeueResult` and owner. If messages
        are large, a call returns fewer tasks than the queue has.
        """
        # Starting before the call, the lease ends here before it ends in Redis.
        expires_at = self._clock.monotonic() + lease_s
        asked = [
            (queue, min(count - start, MAX_TASKS))
            for queue, count in counts.items()
            for start in range(0, count, MAX_TASKS)
        ]
        owners = [f"{owner}.{number}" for number in range(len(asked))]
        max_bytes = MAX_BYTES // min(max(len(asked), 1), MAX_SHARES)
        calls = [
            _dequeue_call(queue, n, token, lease_s, max_bytes)
            for (queue, n), token in zip(asked, owners, strict=True)
        ]
        replies = await pipeline.run_all(self._driver, calls)
        taken_at_s = self._clock.now().timestamp()
        return [
            DequeueResult(queue=queue, owner=token, error=reply)
            if isinstance(reply, BrokerError)
            else _dequeue_result(
                queue, n, cast("list[bytes | int]", reply), _Dequeue(token, taken_at_s, expires_at)
            )
            for (queue, n), token, reply in zip(asked, owners, replies, strict=True)
        ]

    async def undo_dequeue(self, queue: str, owner: str) -> int:
        """Put back the tasks that *owner* took in a call whose answer was lost; return how many."""
        start = moved = 0
        while True:
            call = scripts.undo_dequeue(
                pending=keys.container(queue, TaskState.PENDING),
                active=keys.container(queue, TaskState.ACTIVE),
                lease=keys.lease(queue),
                task_prefix=keys.task(queue),
                owner=owner,
                start=start,
                limit=SCAN,
            )
            seen, count = cast("list[int]", await pipeline.run(self._driver, call))
            moved += count
            if seen < SCAN:
                return moved
            start += seen - count

    async def wait(self, queue: str) -> bool:
        """Block until *queue* has a task (True) or a few seconds have passed (False).

        Moving the right end of the list to the right end changes nothing, but blocks while the list
        is empty.
        """
        pending = keys.container(queue, TaskState.PENDING)
        wait_s = block_s(self._driver, WAIT_S)
        command = ("BLMOVE", pending, pending, "RIGHT", "RIGHT", wait_s)
        return await execute(self._driver, *command, timeout_s=wait_s + ANSWER_S) is not None

    async def settle(self, settled: Sequence[tuple[Lease, Verdict]]) -> list[bool | BrokerError]:
        """Write verdicts; return for each True (written), False (lease lost) or an error."""
        # Almost all tasks are done and nothing follows, so that is compared first.
        batches = pipeline.batches(
            [
                lease.queue if verdict is DONE else (type(verdict), lease.queue, bool(verdict.then))
                for lease, verdict in settled
            ],
            [0 if verdict is DONE else _size(verdict) for _, verdict in settled],
        )
        now = self._clock.now()
        calls = [_settle_call([settled[index] for index in indexes], now) for indexes in batches]
        replies = await pipeline.run_all(self._driver, calls)
        for indexes, reply in zip(batches, replies, strict=True):
            if settled[indexes[0]][1].then and not isinstance(reply, BrokerError):
                _log_refusals([settled[index] for index in indexes], cast("list[int]", reply))
        return _answers(len(settled), batches, replies)

    async def extend(self, leases: Sequence[Lease], *, lease_s: float) -> list[bool | BrokerError]:
        """Extend *leases* in Redis and in place; return for each what `settle` returns."""
        batches = pipeline.batches(lease.queue for lease in leases)
        expires_at = self._clock.monotonic() + lease_s
        calls = [_extend_call([leases[index] for index in indexes], lease_s) for indexes in batches]
        answers = _answers(len(leases), batches, await pipeline.run_all(self._driver, calls))
        for lease, answer in zip(leases, answers, strict=True):
            if answer is True:
                lease.expires_at = expires_at
        return answers

    async def mark_started(self, lease: Lease) -> bool:
        """Note that the handler of a task that has crashed workers starts; False if lease lost."""
        queue = lease.queue
        call = scripts.mark_started(
            (lease.handle, lease.owner),
            active=keys.container(queue, TaskState.ACTIVE),
            lease=keys.lease(queue),
            task_prefix=keys.task(queue),
        )
        return await pipeline.run(self._driver, call) == [1]

    async def write_result(self, lease: Lease, result: bytes) -> bool:
        """Store *result* beside the task; False if the lease is lost."""
        queue = lease.queue
        call = scripts.write_result(
            (lease.handle, lease.owner, blob(result)),
            active=keys.container(queue, TaskState.ACTIVE),
            lease=keys.lease(queue),
            task_prefix=keys.task(queue),
        )
        return await pipeline.run(self._driver, call) == [1]

    async def reserve_members(self, queue: str, batch_id: str, count: int) -> int | None:
        """Return the first of *count* numbers for new members; None if the batch takes none."""
        call = batch_scripts.reserve_members(
            batch=keys.batch(queue, batch_id),
            ended=keys.ended_members(queue, batch_id),
            count=count,
        )
        first = cast("int", await pipeline.run(self._driver, call))
        return None if first < 0 else first


def _dequeue_call(queue: str, count: int, owner: str, lease_s: float, max_bytes: int) -> Call:
    return scripts.dequeue(
        pending=keys.container(queue, TaskState.PENDING),
        active=keys.container(queue, TaskState.ACTIVE),
        lease=keys.lease(queue),
        paused=keys.paused(queue),
        task_prefix=keys.task(queue),
        count=count,
        max_bytes=max_bytes,
        owner=owner,
        lease_s=lease_s,
    )


class _Dequeue(NamedTuple):
    """The values that all leases of one call share; see `Lease`."""

    owner: str
    taken_at_s: float
    expires_at: float


def _dequeue_result(
    queue: str, asked: int, reply: Sequence[bytes | int], dequeue: _Dequeue
) -> DequeueResult:
    paused, found, dropped = cast("Sequence[int]", reply[:3])
    waited_us = cast("int", reply[4])
    leases: list[Lease] = []
    poison: list[Lease] = []
    fields = cast("Sequence[bytes]", reply)
    histories = _read_histories(cast("Sequence[int]", reply[3])) if reply[3] else None
    for at in range(FIRST_TASK, len(fields), 2):
        message, is_sound = read_message(queue, fields[at], fields[at + 1])
        name = message.id or decode_name(fields[at])
        lease = Lease(message, name, name, *dequeue)
        if histories and at in histories:
            restore_run_history(lease, *histories[at])
        (leases if is_sound else poison).append(lease)
    return DequeueResult(
        queue=queue,
        owner=dequeue.owner,
        leases=leases,
        poison=poison,
        missing=dropped,
        empty=found < asked,
        paused=bool(paused),
        waited_s=None if waited_us < 0 else waited_us / 1_000_000,
    )


def _read_histories(numbers: Sequence[int]) -> dict[int, tuple[int, int | None, int]]:
    """Return crashes, unknown_s and retried of some tasks, by the task's index in the reply."""
    return {
        FIRST_TASK + 2 * index: (crashes, None if unknown_s < 0 else unknown_s, retried)
        for index, crashes, unknown_s, retried in zip(*[iter(numbers)] * 4, strict=True)
    }


def _size(verdict: Verdict) -> int:
    """Return the bytes that *verdict* carries; what follows it counts as `FOLLOWER_SIZE` more.

    So the number of entries that one call carries out has a bound, too.
    """
    size = 0
    if not isinstance(verdict, WITHOUT_MESSAGE) and verdict.message is not None:
        size = verdict.message.ByteSize()
    if verdict.then:
        size += sum(_entry_size(entry) + FOLLOWER_SIZE for entry in verdict.then)
    return size


def _entry_size(entry: Entry) -> int:
    if isinstance(entry, Report):
        added = sum(plan.message.ByteSize() + FOLLOWER_SIZE for plan in entry.added)
        return len(entry.output) + added
    return entry.message.ByteSize()


def _settle_call(settled: Sequence[Settled], now: datetime) -> Call:
    lease, verdict = settled[0]
    each: list[Each] = []
    for one_lease, one_verdict in settled:
        each += (one_lease.handle, one_lease.owner, *_verdict_values(one_lease, one_verdict))
    queue = lease.queue
    held_keys = {"active": keys.container(queue, TaskState.ACTIVE), "lease": keys.lease(queue)}
    prefix = keys.task(queue)
    if isinstance(verdict, Requeue):
        pending = keys.container(queue, TaskState.PENDING)
        return scripts.requeue(each, **held_keys, pending=pending, task_prefix=prefix)
    values = held_keys | _counters(queue, now) | {"task_prefix": prefix}
    if verdict.then:
        values |= _continuation(queue, settled)
    sent_s = int(now.timestamp())
    match verdict:
        case Done(then=then):
            return (scripts.done_continued if then else scripts.done)(each, **values)
        case Complete(then=then):
            script = scripts.complete_continued if then else scripts.complete
            completed = keys.container(queue, TaskState.COMPLETED)
            waiters = _waiters(queue)
            return script(each, **values, **waiters, completed=completed, sent_s=sent_s)
        case Retry():
            retry = keys.container(queue, TaskState.RETRY)
            return scripts.retry(each, **values, retry=retry, sent_s=sent_s)
        case Archive(then=then):
            return (scripts.archive_continued if then else scripts.archive)(
                each,
                **values,
                **_waiters(queue),
                archived=keys.container(queue, TaskState.ARCHIVED),
                archive_s=ARCHIVE_S,
                most_archived=MOST_ARCHIVED,
            )


def _waiters(queue: str) -> dict[str, CommandArg]:
    return {
        "awaited": keys.awaited_ids(queue),
        "done_prefix": keys.end_notices(queue),
        "done_ttl_s": END_NOTICE_TTL_S,
    }


def _continuation(queue: str, settled: Sequence[Settled]) -> dict[str, CommandArg]:
    """Return keys and arguments of the script `continued`."""
    following: list[Each] = []
    mail_id = str(uuid.uuid4())  # one for all: the script numbers the letters of a call
    for position, (_, verdict) in enumerate(settled, 1):
        for entry in verdict.then:
            is_here = queue_of(entry) == queue
            following += (position, mail_id, is_here, blob(body_of(entry)))
    return receiver_values(queue) | {"following": pack(following)}


def _log_refusals(settled: Sequence[Settled], reply: Sequence[int]) -> None:
    """Log what `continued` has not carried out: pairs behind the answers for *settled*."""
    pairs = reply[len(settled) :]
    if pairs:
        entries = [entry for _, verdict in settled for entry in verdict.then]
        for number, answer in zip(pairs[::2], pairs[1::2], strict=True):
            log_refusal(entries[number - 1], answer)


def _verdict_values(lease: Lease, verdict: Verdict) -> tuple[Each, ...]:
    """Return the values for the script's EACH after id and owner."""
    match verdict:
        case Done():
            return (lease.message.unique_key,)
        case Complete(message=message, expires_at=expires_at):
            return blob(encode(message)), unix_s(expires_at), message.unique_key
        case Retry(message=message, at=at, failed=failed):
            history = verdict.crashes, int(verdict.unknown), message.retried
            attempt = _attempt_values(verdict)
            return blob(encode(message)), unix_s(at), int(failed), *history, *attempt
        case Archive(message=message):
            return ("" if message is None else blob(encode(message)), *_attempt_values(verdict))
        case Requeue():
            return ()


def _attempt_values(verdict: Retry | Archive) -> tuple[Each, Each]:
    """Return the field that keeps the try which failed, and the try; both empty without one."""
    attempt = verdict.attempt
    return ("", "") if attempt is None else (ATTEMPT_FIELDS[attempt.slot], blob(attempt.data))


def _counters(queue: str, now: datetime) -> dict[str, CommandArg]:
    day = now.strftime("%Y-%m-%d")
    return {
        "processed": keys.processed(queue),
        "failed": keys.failed(queue),
        "processed_day": keys.processed(queue, day),
        "failed_day": keys.failed(queue, day),
        "day_ends_s": int(now.timestamp()) + STATISTICS_S,
    }


def _extend_call(leases: Sequence[Lease], lease_s: float) -> Call:
    queue = leases[0].queue
    each: list[Each] = []
    for lease in leases:
        each += (lease.handle, lease.owner)
    return scripts.extend_leases(
        each,
        active=keys.container(queue, TaskState.ACTIVE),
        lease=keys.lease(queue),
        task_prefix=keys.task(queue),
        lease_s=lease_s,
    )


def _answers(
    count: int, batches: Sequence[Sequence[int]], replies: Sequence[object]
) -> list[bool | BrokerError]:
    """Return the answers for *count* leases from the *replies* to their *batches*."""
    answers: list[bool | BrokerError] = [False] * count
    for indexes, reply in zip(batches, replies, strict=True):
        if isinstance(reply, BrokerError):
            for index in indexes:
                answers[index] = reply
        else:
            for index, one in zip(indexes, cast("list[int]", reply), strict=False):
                answers[index] = one == 1
    return answers
