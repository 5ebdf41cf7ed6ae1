"""Go's x/rate and pyasynq share the tokens of a semaphore."""

from datetime import timedelta
from typing import cast

from redis.asyncio import Redis

from pyasynq import ActiveTask, Client, Semaphore, Server, Task
from tests.interop.gopeer import Peer
from tests.interop.polling import until

KEY = "asynq:sema:api"


async def tokens(r: Redis) -> dict[bytes, float]:
    """Return the end of the token of each holder, Unix seconds."""
    return dict(cast("list[tuple[bytes, float]]", await r.zrange(KEY, 0, -1, withscores=True)))


async def test_a_token_that_python_holds_is_taken_for_go(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    semaphore = Semaphore(redis_url, "api", 1)
    async with go_peer.work(semaphore={"api": "1"}, queues="q") as go:
        async with semaphore:
            await go_peer.enqueue("t", queue="q", max_retry=0)
            [refused] = await go.wait_for("done")
        await go_peer.enqueue("t", queue="q", max_retry=0)
        [_, served] = await go.wait_for("done", count=2)
    await semaphore.aclose()
    assert (refused["error"], served["error"]) == ("no token", None)
    assert await tokens(r) == {}


async def test_a_token_that_go_holds_is_taken_for_python(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    semaphore = Semaphore(redis_url, "api", 1)
    async with go_peer.work(semaphore={"api": "1"}, queues="q", sleep=timedelta(seconds=1)) as go:
        [info] = await go_peer.enqueue("t", queue="q", timeout=timedelta(seconds=60))
        [started] = await go.wait_for("start")
        assert not await semaphore.try_acquire()
        assert (await tokens(r)).keys() == {info.id.encode()}
        await semaphore.acquire(timeout=timedelta(seconds=10))
        assert go.seen("done", id=started["id"])
    await semaphore.aclose()


async def test_go_drops_the_token_of_a_python_holder_that_is_over(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    await r.zadd(KEY, {"{q}:dead": 1})
    async with go_peer.work(semaphore={"api": "1"}, queues="q") as go:
        await go_peer.enqueue("t", queue="q")
        [done] = await go.wait_for("done")
    assert done["error"] is None
    assert await tokens(r) == {}


async def test_go_and_python_together_never_hold_more_tokens_than_the_limit(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    semaphore = Semaphore(redis_url, "api", 2)
    seen: list[int] = []

    async def handle(_task: ActiveTask) -> None:
        async with semaphore:
            seen.append(len(await tokens(r)))

    go_waits = go_peer.work(
        semaphore={"api": "2"},
        queues="go",
        sleep=timedelta(milliseconds=20),
        retry_delay=timedelta(0),
    )
    async with Client(redis_url) as client, go_waits as go:
        async with Server(redis_url, queues={"py": 1}, concurrency=5).running(handle):
            await go_peer.enqueue("t", queue="go", count=10)
            await client.enqueue_many([Task("t")] * 30, queue="py")
            await until(lambda: len(seen) == 30 and len(go.seen("done", error=None)) == 10)
    await semaphore.aclose()
    assert max(seen) <= 2
