"""A unique lock taken in one language holds in the other."""

from datetime import timedelta

import pytest

from pyasynq import Client, DuplicateTaskError, Server, Task, TaskIDConflictError
from tests.interop.gopeer import Peer, PeerError
from tests.interop.handlers import Handler

HOUR = timedelta(hours=1)
payloads = pytest.mark.parametrize("payload", [None, b"", b"p"], ids=["none", "empty", "some"])


@payloads
async def test_gos_lock_blocks_python(payload: bytes | None, go_peer: Peer, redis_url: str) -> None:
    await go_peer.enqueue("t", payload, queue="q", unique=HOUR)
    async with Client(redis_url) as client:
        with pytest.raises(DuplicateTaskError):
            await client.enqueue(Task("t", payload), queue="q", unique=HOUR)


@payloads
async def test_pythons_lock_blocks_go(payload: bytes | None, go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t", payload), queue="q", unique=HOUR)
    with pytest.raises(PeerError, match="task already exists"):
        await go_peer.enqueue("t", payload, queue="q", unique=HOUR)


async def test_no_payload_and_an_empty_one_are_two_locks(go_peer: Peer, redis_url: str) -> None:
    await go_peer.enqueue("t", None, queue="q", unique=HOUR)
    async with Client(redis_url) as client:
        await client.enqueue(Task("t", b""), queue="q", unique=HOUR)
    assert len(await go_peer.tasks("q", "pending")) == 2


async def test_the_lock_of_a_scheduled_task_blocks_go(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t"), queue="q", unique=HOUR, process_in=HOUR)
    with pytest.raises(PeerError, match="task already exists"):
        await go_peer.enqueue("t", queue="q", unique=HOUR)


async def test_a_task_done_by_python_gives_gos_lock_back(go_peer: Peer, redis_url: str) -> None:
    await go_peer.enqueue("t", queue="q", unique=HOUR)
    handler = Handler()
    async with Server(redis_url, queues={"q": 1}).running(handler):
        await handler.wait_for()
    assert await go_peer.enqueue("t", queue="q", unique=HOUR)


async def test_a_task_done_by_go_gives_pythons_lock_back(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t"), queue="q", unique=HOUR)
        async with go_peer.work(queues="q") as worker:
            await worker.wait_for("done")
        assert await client.enqueue(Task("t"), queue="q", unique=HOUR)


async def test_a_task_go_deletes_gives_pythons_lock_back(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        info = await client.enqueue(Task("t"), queue="q", unique=HOUR)
        await go_peer.inspect("delete", "q", info.id)
        assert await client.enqueue(Task("t"), queue="q", unique=HOUR)


async def test_a_task_waiting_for_its_retry_keeps_gos_lock(go_peer: Peer, redis_url: str) -> None:
    await go_peer.enqueue("t", queue="q", unique=HOUR)
    handler = Handler(error=ValueError())
    async with Server(redis_url, queues={"q": 1}).running(handler):
        await handler.wait_for()
    with pytest.raises(PeerError, match="task already exists"):
        await go_peer.enqueue("t", queue="q", unique=HOUR)


async def test_an_id_go_uses_is_taken_for_python(go_peer: Peer, redis_url: str) -> None:
    await go_peer.enqueue("t", queue="q", id="one")
    async with Client(redis_url) as client:
        with pytest.raises(TaskIDConflictError):
            await client.enqueue(Task("t"), queue="q", task_id="one")


async def test_an_id_python_uses_is_taken_for_go(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t"), queue="q", task_id="one")
    with pytest.raises(PeerError, match="task ID conflicts"):
        await go_peer.enqueue("t", queue="q", id="one")
