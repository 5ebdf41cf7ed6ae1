"""The inspectors of Go and Python show the same and do the same on one Redis."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from pyasynq import (
    Client,
    Inspector,
    QueueNotEmptyError,
    Server,
    Task,
    TaskInfo,
    TaskState,
    TaskStateError,
)
from pyasynq.broker.redis import RedisBroker, connect
from pyasynq.core.states import ALLOWED_STATES, Action
from tests.interop.gopeer import Peer, PeerError
from tests.interop.handlers import Handler
from tests.support.factories import a_grouped, a_pending, enqueue, one_of_each
from tests.support.queue_view import RedisQueue

HOUR = timedelta(hours=1)

every_state = pytest.mark.parametrize("state", [state.value for state in TaskState])


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    async with Inspector(redis_url) as inspector:
        yield inspector


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    broker = connect(redis_url)
    yield broker
    await broker.aclose()


def group_of(state: str) -> str | None:
    return "g" if state == "aggregating" else None


def without_next_run(tasks: Sequence[TaskInfo]) -> list[TaskInfo]:
    """Return *tasks* without the next run of pending ones, which is always now."""
    return [
        replace(task, next_process_at=None) if task.state is TaskState.PENDING else task
        for task in tasks
    ]


async def ids_by_state(inspector: Inspector, queue: str) -> dict[str, list[str]]:
    """Return the ids in each state of *queue*, pending ones in their order.

    The others are sorted, because the order of equal times depends on where a second ends.
    """
    ids = {
        state: [task.id for task in await inspector.list_tasks(queue, state, group=group_of(state))]
        for state in TaskState
    }
    return {state: ids[state] if state == "pending" else sorted(ids[state]) for state in ids}


# -- what they say ---------------------------------------------------------------------------------


@every_state
async def test_both_show_the_same_tasks_in_a_state(
    state: str, go_peer: Peer, inspector: Inspector, broker: RedisBroker
) -> None:
    await one_of_each(broker)
    ours = await inspector.list_tasks("q", state, group=group_of(state))
    assert without_next_run(ours) == without_next_run(await go_peer.tasks("q", state, "g"))


@every_state
async def test_both_show_the_same_task(
    state: str, go_peer: Peer, inspector: Inspector, broker: RedisBroker
) -> None:
    await one_of_each(broker)
    ours = await inspector.task_info("q", state)
    assert without_next_run([ours]) == without_next_run([await go_peer.task("q", state)])


async def test_both_show_the_same_orphan(
    go_peer: Peer, inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await one_of_each(broker)
    await RedisQueue(r, "q").end_leases()
    assert await inspector.list_tasks("q", "active") == await go_peer.tasks("q", "active")


@pytest.mark.parametrize(
    "state", ["pending", "active", "scheduled", "retry", "archived", "completed", "aggregating"]
)
async def test_both_show_tasks_in_the_same_order(
    state: str, go_peer: Peer, inspector: Inspector, redis_url: str, r: Redis
) -> None:
    async with Client(redis_url) as client:
        task = Task("t", queue="q", group="g") if state == "aggregating" else Task("t", queue="q")
        await client.enqueue_many([task] * 5)
    source = "pending" if state != "aggregating" else "g:g"
    await move_all(r, f"asynq:{{q}}:{source}", f"asynq:{{q}}:{state}")
    ours = await inspector.list_tasks("q", state, group=group_of(state))
    assert len(ours) == 5
    theirs = await go_peer.tasks("q", state, "g")
    assert [task.id for task in ours] == [task.id for task in theirs]


async def move_all(r: Redis, source: str, target: str) -> None:
    """Move the ids of the list *source* to *target*; in a sorted set their scores decrease."""
    if target.endswith(("active",)):
        await r.rename(source, target)
    elif not target.endswith(("pending", "aggregating")):
        ids = await r.lrange(source, 0, -1)
        await r.delete(source)
        scores: dict[Any, Any] = {task_id: 4_000_000_000 - n for n, task_id in enumerate(ids)}
        await r.zadd(target, scores)


async def test_both_show_the_same_counts_of_a_queue(
    go_peer: Peer, inspector: Inspector, broker: RedisBroker, r: Redis
) -> None:
    await one_of_each(broker)
    await enqueue(broker, *[a_grouped(str(n), group=f"g{n % 3}") for n in range(30)])
    await enqueue(broker, *[a_pending(f"p{n}", payload=b"x" * n * 50) for n in range(50)])
    await inspector.pause("q")
    ours = asdict(await inspector.queue_info("q"))
    [theirs] = await go_peer.inspect("queue", "q")
    own = {"timestamp", "latency"}
    assert {k: v for k, v in ours.items() if k not in own} == {
        k: v for k, v in theirs.items() if k not in own
    }
    assert abs(ours["latency"].total_seconds() - theirs["latency"]) < 5


async def test_both_show_the_same_history_and_groups(
    go_peer: Peer, inspector: Inspector, broker: RedisBroker
) -> None:
    await one_of_each(broker)
    ours = [asdict(day) | {"date": f"{day.date}"} for day in await inspector.history("q", 90)]
    assert ours == await go_peer.inspect("history", "q", "90")
    groups = [asdict(group) for group in await inspector.groups("q")]
    assert groups == await go_peer.inspect("groups", "q")
    assert await inspector.queues() == await go_peer.inspect("queues")


async def test_both_show_the_same_of_a_python_server(
    go_peer: Peer, inspector: Inspector, redis_url: str
) -> None:
    handler = Handler(held=True)
    server = Server(redis_url, queues={"q": 6, "low": 1}, concurrency=3)
    async with Client(redis_url) as client, server.running(handler):
        info = await client.enqueue(Task("t", b"p", queue="q"))
        await handler.wait_for()
        theirs = await go_peer.server_with(info.id)
        [ours] = await inspector.servers()
        handler.release()
    [worker], [their_worker] = ours.active_workers, theirs["active_workers"]
    assert (ours.id, ours.host, ours.pid) == (theirs["id"], theirs["host"], theirs["pid"])
    assert (ours.queues, ours.status) == (theirs["queues"], theirs["status"])
    assert ours.started == datetime.fromisoformat(theirs["started"])
    assert (worker.task_id, worker.task_payload) == (info.id, b"p")
    assert worker.deadline == datetime.fromisoformat(their_worker["deadline"])


async def test_both_show_the_same_of_a_go_server(go_peer: Peer, inspector: Inspector) -> None:
    async with go_peer.work(queues="q=6", sleep=timedelta(seconds=30), concurrency=3) as worker:
        [info] = await go_peer.enqueue("t", b"p", queue="q")
        await worker.wait_for("start")
        theirs = await go_peer.server_with(info.id)
        [ours] = await inspector.servers()
        await inspector.cancel(info.id)
    [running] = ours.active_workers
    assert (ours.id, ours.concurrency, ours.queues) == (theirs["id"], 3, {"q": 6})
    assert (running.task_id, running.task_type, running.task_payload) == (info.id, "t", b"p")


async def test_python_cancels_a_task_of_a_go_worker(
    go_peer: Peer, inspector: Inspector, redis_url: str
) -> None:
    async with Client(redis_url) as client, go_peer.work(queues="q=1", sleep=HOUR) as worker:
        info = await client.enqueue(Task("t", queue="q"))
        await worker.wait_for("start")
        await inspector.cancel(info.id)
        await worker.wait_for("done", id=info.id, error="context canceled")
    assert (await go_peer.task("q", info.id)).state is TaskState.RETRY


# -- what they do ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "state"),
    [
        *[("run", state) for state in sorted(ALLOWED_STATES[Action.RUN])],
        *[("archive", state) for state in sorted(ALLOWED_STATES[Action.ARCHIVE])],
        *[("delete", state) for state in sorted(ALLOWED_STATES[Action.DELETE])],
    ],
)
async def test_both_do_the_same_to_one_task(
    order: str, state: str, go_peer: Peer, inspector: Inspector, broker: RedisBroker
) -> None:
    await one_of_each(broker, queue="go")
    await one_of_each(broker, queue="py")
    await go_peer.inspect(order, "go", state)
    await getattr(inspector, f"{order}_task")("py", state)
    assert await ids_by_state(inspector, "py") == await ids_by_state(inspector, "go")


@pytest.mark.parametrize(
    ("order", "state"),
    [
        ("run", "pending"),
        ("run", "active"),
        ("archive", "archived"),
        ("archive", "active"),
        ("delete", "active"),
    ],
)
async def test_both_refuse_a_task_in_the_wrong_state(
    order: str, state: str, go_peer: Peer, inspector: Inspector, broker: RedisBroker
) -> None:
    await one_of_each(broker)
    with pytest.raises(PeerError):
        await go_peer.inspect(order, "q", state)
    with pytest.raises(TaskStateError):
        await getattr(inspector, f"{order}_task")("q", state)


@pytest.mark.parametrize(
    ("order", "state"),
    [
        *[("run", state) for state in ("scheduled", "retry", "archived", "aggregating")],
        *[("archive", state) for state in ("pending", "scheduled", "retry", "aggregating")],
        *[("delete", state) for state in sorted(ALLOWED_STATES[Action.DELETE])],
    ],
)
async def test_both_do_the_same_to_all_tasks_in_a_state(
    order: str, state: str, go_peer: Peer, inspector: Inspector, broker: RedisBroker
) -> None:
    await one_of_each(broker, queue="go")
    await one_of_each(broker, queue="py")
    [theirs] = await go_peer.inspect(f"{order}all", "go", state, "g")
    ours = await getattr(inspector, f"{order}_all")("py", state, group_of(state))
    assert ours == theirs["count"] == 1
    assert await ids_by_state(inspector, "py") == await ids_by_state(inspector, "go")


async def test_both_do_the_same_to_a_payload(
    go_peer: Peer, inspector: Inspector, broker: RedisBroker
) -> None:
    await one_of_each(broker)
    await inspector.update_task_payload("q", "scheduled", b"ours")
    assert (await go_peer.task("q", "scheduled")).payload == b"ours"
    await go_peer.inspect("update-payload", "q", "scheduled", "theirs")
    assert (await inspector.task_info("q", "scheduled")).payload == b"theirs"


async def test_both_do_the_same_to_a_queue(
    go_peer: Peer, inspector: Inspector, broker: RedisBroker
) -> None:
    await enqueue(broker, a_pending())
    await inspector.pause("q")
    with pytest.raises(PeerError, match="already paused"):
        await go_peer.inspect("pause", "q")
    await go_peer.inspect("unpause", "q")
    with pytest.raises(QueueNotEmptyError):
        await inspector.delete_queue("q")
    await inspector.delete_queue("q", force=True)
    assert await go_peer.inspect("queues") == []


async def test_a_go_worker_takes_a_task_that_python_made_pending(
    go_peer: Peer, inspector: Inspector, redis_url: str
) -> None:
    async with Client(redis_url) as client, go_peer.work(queues="q=1") as worker:
        info = await client.enqueue(Task("t", b"p", queue="q"), process_in=HOUR)
        await inspector.update_task("q", info.id, payload=b"new", headers={"k": "v"})
        await inspector.run_task("q", info.id)
        [done] = await worker.wait_for("done", id=info.id)
    assert done["id"] == info.id


async def test_python_awaits_the_result_of_a_go_worker(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client, go_peer.work(queues="q=1", result="sent"):
        info = await client.enqueue(Task("t", b"p", queue="q"), retention=HOUR)
        assert await client.result(info, timeout=HOUR) == b"sent"
