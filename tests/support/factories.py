"""Make messages, plans, leases, verdicts and records, and call a broker with them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from pyasynq.broker import (
    AggregationSet,
    Broker,
    Created,
    DequeueResult,
    GroupedTask,
    GroupRules,
    Lease,
    NewTask,
    Receipt,
    ReplacesSet,
)
from pyasynq.core.compose import Grouped, Lock, Pending, Plan, Scheduled
from pyasynq.core.info import SchedulerEntry, ServerInfo, WorkerInfo
from pyasynq.core.message import TaskMessage, with_outcome
from pyasynq.core.options import Options
from pyasynq.core.policy import MAX_BYTES
from pyasynq.core.task import Task
from pyasynq.core.verdict import DONE, REQUEUE, Archive, Complete, Retry, Verdict

OWNER = "server/1"
LEASE_S = 30.0
PAST_S = 1_000_000_000
FUTURE_S = 4_000_000_000

LOCK = Lock(digest="0cc1", ttl_s=100)
GROUP_SET = AggregationSet(queue="q", group="g", id="5cdce7f5-5221-494e-b2ea-262acf33b109")
"""A set that an aggregator may have staged."""


def a_message(task_id: str = "1", *, queue: str = "q", **fields: object) -> TaskMessage:
    """Return a message of type ``t`` that may be retried three times."""
    known = {"id": task_id, "queue": queue, "type": "t", "retry": 3}
    return TaskMessage(**cast("Any", known | fields))


def a_pending(
    task_id: str = "1", *, lock: Lock | None = None, queue: str = "q", **fields: object
) -> Pending:
    return Pending(message=a_message(task_id, queue=queue, **fields), lock=lock)


def a_scheduled(
    task_id: str = "1",
    *,
    at_s: int = FUTURE_S,
    lock: Lock | None = None,
    queue: str = "q",
    **fields: object,
) -> Scheduled:
    return Scheduled(message=a_message(task_id, queue=queue, **fields), lock=lock, at_s=at_s)


def a_grouped(
    task_id: str = "1",
    *,
    group: str = "g",
    lock: Lock | None = None,
    queue: str = "q",
    **fields: object,
) -> Grouped:
    message = a_message(task_id, queue=queue, group_key=group, **fields)
    return Grouped(message=message, lock=lock)


def many_pending(count: int, *, queue: str = "q") -> list[Plan]:
    """Return *count* plans, whose ids count from 0."""
    return [a_pending(str(n), queue=queue) for n in range(count)]


def many_large(count: int, *, queue: str = "q") -> list[Plan]:
    """Return *count* plans, whose ids count from 0; two of them fill a call."""
    payload = bytes(MAX_BYTES // 2)
    return [a_pending(str(n), queue=queue, payload=payload) for n in range(count)]


async def create(broker: Broker, plans: Iterable[Plan]) -> list[Created]:
    """Create tasks from *plans*; return the answers."""
    return await broker.creation.create([NewTask(plan) for plan in plans])


async def relay(
    broker: Broker, rows: Iterable[tuple[str, Plan]], *, ttl_s: int = 100
) -> list[Created]:
    """Create tasks from *rows* of an outbox, pairs of row id and plan; return the answers."""
    new = [NewTask(plan, Receipt(row=row, ttl_s=ttl_s)) for row, plan in rows]
    return await broker.creation.create(new)


async def combine(broker: Broker, group_set: AggregationSet, plan: Plan) -> Created:
    """Replace *group_set* by the task of *plan*; return the answer."""
    (answer,) = await broker.creation.create([NewTask(plan, ReplacesSet(group_set=group_set))])
    return answer


async def enqueue(broker: Broker, *plans: Plan) -> None:
    """Enqueue *plans*; all must be accepted."""
    assert set(await create(broker, plans)) == {None}


async def dequeue(
    broker: Broker, counts: Mapping[str, int], *, owner: str = OWNER, lease_s: float = LEASE_S
) -> list[DequeueResult]:
    """Dequeue *counts* tasks by queue; no queue may answer with an error."""
    answers = await broker.work.dequeue(counts, owner=owner, lease_s=lease_s)
    assert [result.error for result in answers] == [None] * len(answers)
    return answers


async def take(
    broker: Broker,
    count: int = 1,
    *,
    queue: str = "q",
    owner: str = OWNER,
    lease_s: float = LEASE_S,
) -> list[Lease]:
    """Dequeue up to *count* tasks of *queue*; return their leases."""
    results = await dequeue(broker, {queue: count}, owner=owner, lease_s=lease_s)
    return [lease for answer in results for lease in answer.leases]


async def a_lease(broker: Broker, plan: Plan | None = None, *, lease_s: float = LEASE_S) -> Lease:
    """Enqueue a task and dequeue it; return its lease."""
    plan = plan or a_pending()
    await enqueue(broker, plan)
    (lease,) = await take(broker, queue=plan.message.queue, lease_s=lease_s)
    return lease


async def a_staged_set(
    broker: Broker, *plans: Plan, group: str = "g", max_size: int | None = None
) -> AggregationSet:
    """Enqueue *plans* into a group and stage them; return the set."""
    await enqueue(broker, *plans)
    rules = GroupRules(grace_s=3600, max_size=max_size or len(plans))
    group_set = await broker.groups.stage("q", group, rules)
    assert group_set is not None
    return group_set


async def tasks_in_set(broker: Broker, group_set: AggregationSet) -> list[GroupedTask]:
    """Return the tasks of *group_set*, which must exist."""
    tasks = await broker.groups.read_set(group_set)
    assert tasks is not None
    return tasks


async def postpone(broker: Broker, group_set: AggregationSet, *, wait_s: int) -> bool:
    """Count a failure in every task of *group_set*, if it exists, and postpone the set."""
    tasks = await broker.groups.read_set(group_set)
    return await broker.groups.postpone(group_set, tasks or [], wait_s=wait_s)


async def settle(broker: Broker, lease: Lease, verdict: Verdict) -> object:
    """Settle *lease* with *verdict*; return the answer."""
    (answer,) = await broker.work.settle([(lease, verdict)])
    return answer


def ids(leases: Iterable[Lease]) -> list[str]:
    """Return the ids of *leases*, in order."""
    return [lease.id for lease in leases]


def ids_of(tasks: Iterable[GroupedTask]) -> list[str]:
    """Return the ids of *tasks*, in order."""
    return [task.id for task in tasks]


def completed(lease: Lease, *, retention: timedelta = timedelta(hours=1)) -> Complete:
    """Return the verdict that keeps the completed task for *retention* from now."""
    now = datetime.now(UTC)
    message = with_outcome(lease.message, completed_at=now)
    return Complete(message=message, expires_at=now + retention)


def retried(lease: Lease, *, after: timedelta = timedelta(hours=1), failed: bool = True) -> Retry:
    """Return the verdict that retries the task *after* some time from now."""
    now = datetime.now(UTC)
    spent = lease.message.retried + failed
    message = with_outcome(lease.message, retried=spent, error="boom", failed_at=now)
    return Retry(message=message, at=now + after, failed=failed)


def archived(lease: Lease) -> Archive:
    """Return the verdict that archives the task."""
    return Archive(message=with_outcome(lease.message, error="boom", failed_at=datetime.now(UTC)))


def every_verdict(leases: Sequence[Lease]) -> list[tuple[Lease, Verdict]]:
    """Return the five *leases*, each with a different verdict."""
    one, two, three, four, five = leases
    return [
        (one, DONE),
        (two, completed(two)),
        (three, retried(three)),
        (four, archived(four)),
        (five, REQUEUE),
    ]


async def one_of_each(broker: Broker, *, queue: str = "q") -> None:
    """Put one task into every state; its id is the name of the state."""

    async def settle_one(task_id: str, verdict: Callable[[Lease], Verdict]) -> None:
        lease = await a_lease(broker, a_pending(task_id, queue=queue))
        await broker.work.write_result(lease, b"done")
        assert await settle(broker, lease, verdict(lease))

    await settle_one("retry", retried)
    await settle_one("archived", archived)
    await settle_one("completed", completed)
    await a_lease(broker, a_pending("active", queue=queue))
    waiting = (a_pending("pending", queue=queue), a_grouped("aggregating", queue=queue))
    await enqueue(broker, *waiting, a_scheduled("scheduled", queue=queue))


# -- servers ---------------------------------------------------------------------------------------

STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_server(server_id: str = "s", *workers: WorkerInfo, **fields: object) -> ServerInfo:
    """Return a server of the queue ``q`` that runs *workers*."""
    known = {
        "id": server_id,
        "host": "h",
        "pid": 1,
        "concurrency": 4,
        "queues": {"q": 2},
        "strict_priority": True,
        "started": STARTED,
        "status": "active",
        "active_workers": list(workers),
        "active_worker_count": len(workers),
    }
    return ServerInfo(**cast("Any", known | fields))


def a_worker(task_id: str = "1", *, payload: bytes = b"p") -> WorkerInfo:
    """Return a running task of the queue ``q``."""
    return WorkerInfo(
        task_id=task_id,
        task_type="t",
        task_payload=payload,
        queue="q",
        started=STARTED,
        deadline=STARTED + timedelta(minutes=30),
    )


# -- schedulers ------------------------------------------------------------------------------------


def an_entry(entry_id: str = "e", *, payload: bytes = b"p", **fields: object) -> SchedulerEntry:
    """Return an entry without last and next tick."""
    known = {"spec": "@every 1m", "options": Options(queue="low"), "next": None, "prev": None}
    task = Task("t", payload)
    return SchedulerEntry(id=entry_id, task=task, **cast("Any", known | fields))


def entry_values(entries: Iterable[SchedulerEntry]) -> list[object]:
    """Return the fields of *entries*, because tasks do not compare by value."""
    return [
        (each.id, each.spec, each.task.type, each.task.payload, each.options, each.next, each.prev)
        for each in entries
    ]
