"""Python enqueues, Go works."""

from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from pyasynq import ActiveTask, Client, Inspector, Server, Task, TaskState
from pyasynq.core.codec import HEADER
from tests.interop.gopeer import Peer
from tests.interop.outcomes import ids
from tests.support.codecs import Envelope
from tests.support.queue_view import RedisQueue

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


async def test_everything_python_says_of_a_task_arrives(go_peer: Peer, redis_url: str) -> None:
    deadline = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
    task = Task("email:send", b"\x00\xff", headers={"trace": "é", "empty": ""}, max_retry=7)
    async with Client(redis_url) as client:
        info = await client.enqueue(task, queue="low", deadline=deadline)
    async with go_peer.work(queues="low") as worker:
        [event] = await worker.wait_for("start")
    assert (event["id"], event["queue"], event["type"]) == (info.id, "low", "email:send")
    assert (event["payload"], event["headers"]) == (b"\x00\xff", {"trace": "é", "empty": ""})
    assert (event["retried"], event["max_retry"]) == (0, 7)
    assert datetime.fromisoformat(event["deadline"]) == deadline


async def test_many_tasks_enqueued_at_once_all_arrive(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        infos = await client.enqueue_many([Task("t", b"%d" % n) for n in range(300)], queue="q")
    async with go_peer.work(queues="q", concurrency=1) as worker:
        events = await worker.wait_for("done", count=300)
    assert [event["payload"] for event in events] == [b"%d" % n for n in range(300)]
    assert [event["id"] for event in events] == ids(infos)


async def test_a_task_without_timeout_gets_gos_default(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("t"), queue="q")
    task = await go_peer.task("q", info.id)
    assert task.timeout == timedelta(minutes=30)


async def test_a_task_with_retention_is_completed_with_gos_result(
    go_peer: Peer, redis_url: str
) -> None:
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("t", b"p"), queue="q", retention=HOUR)
    async with go_peer.work(queues="q", result="sent") as worker:
        await worker.wait_for("done")
    task = await go_peer.task("q", info.id)
    assert (task.state, task.result) == (TaskState.COMPLETED, b"sent")


async def test_pythons_timeout_ends_a_go_handler(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("t"), queue="q", timeout=SECOND, max_retry=0)
    async with go_peer.work(queues="q", sleep=HOUR) as worker:
        await worker.wait_for("done", error="context deadline exceeded")
    assert (await go_peer.task("q", info.id)).state is TaskState.ARCHIVED


async def test_pythons_scheduled_task_runs_when_it_is_due(go_peer: Peer, redis_url: str) -> None:
    due = datetime.now(UTC) + SECOND
    async with Client(redis_url) as client:
        await client.enqueue(Task("t"), queue="q", process_at=due)
    async with go_peer.work(queues="q") as worker:
        [event] = await worker.wait_for("start")
    assert datetime.fromisoformat(event["time"]) >= due


async def test_a_task_python_retried_arrives_with_its_count(go_peer: Peer, redis_url: str) -> None:
    """Go fails the task, Go's inspector runs it, and Go reads the message that Python kept."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("t", b"p", headers={"k": "v"}), queue="q")
    async with go_peer.work(queues="q", fail="t=boom", retry_delay=SECOND) as worker:
        [first, second] = await worker.wait_for("start", count=2)
    assert [first["retried"], second["retried"]] == [0, 1]
    assert second["headers"] == {"k": "v"}


async def test_go_combines_the_tasks_of_a_group_python_made(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        await client.enqueue_many([Task("t", b"one")] * 3, queue="q", group="g")
    async with go_peer.work(queues="q", aggregate="combined", group_max_size=3) as worker:
        [event] = await worker.wait_for("start")
    assert (event["type"], event["payload"]) == ("combined", b"one,one,one")


async def test_a_sealed_task_passes_a_go_workers_retry_unchanged(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    codecs = [Envelope()]
    async with Client(redis_url, codecs=codecs) as client:
        info = await client.enqueue(Task("t", b"card 1234", headers={"k": "v"}), queue="q")
    queue = RedisQueue(r, "q")
    sealed = (await queue.message(info.id)).payload
    async with go_peer.work(queues="q", fail="t=no route") as worker:
        [event] = await worker.wait_for("start")
        await go_peer.task_in(TaskState.RETRY, "q", info.id)
    message = await queue.message(info.id)
    assert (message.retried, message.payload) == (1, sealed)
    assert dict(message.headers) == {"k": "v", HEADER: "envelope"}
    assert b"1234" not in event["payload"]
    async with Inspector(redis_url, codecs=codecs) as inspector:
        task = await inspector.task_info("q", info.id)
        await inspector.run_task("q", info.id)
    assert (task.payload, task.headers) == (b"card 1234", {"k": "v"})
    seen: list[bytes] = []

    async def handle(task: ActiveTask) -> None:
        seen.append(task.payload)

    await Server(redis_url, queues={"q": 1}, codecs=codecs, burst=True).run(handle)
    assert seen == [b"card 1234"]
