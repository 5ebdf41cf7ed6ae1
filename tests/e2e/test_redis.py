"""Redis is killed, hangs, fails over or is a cluster: no accepted task is lost."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from typing import cast

from redis.asyncio import Redis

from pyasynq import (
    BrokerError,
    Client,
    RetryIn,
    Server,
    Task,
    TaskIDConflictError,
    TaskInfo,
)
from pyasynq.broker import RegistryPort
from tests.cli.workers import worker
from tests.e2e.recording import Recording
from tests.server.handlers import Handler, crew_of
from tests.support.looking import QueueView
from tests.support.servers import RedisCluster, RedisSentinel, RedisServer
from tests.support.waiting import wait_until

APP = "tests.e2e.apps.recording:app"


async def insist(client: Client, task_id: str) -> str:
    """Enqueue a task again and again until it is accepted, as a careful producer does."""
    while True:
        try:
            return (await client.enqueue(Task("work", b"{}"), task_id=task_id)).id
        except TaskIDConflictError:
            return task_id
        except BrokerError:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def producing(client: Client, count: int) -> AsyncGenerator[list[str]]:
    """Yield the ids of tasks that are enqueued while the block runs; all are in the end."""
    accepted: list[str] = []

    async def produce() -> None:
        for number in range(count):
            accepted.append(await insist(client, f"task-{number}"))

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        yield accepted


async def test_no_accepted_task_is_lost_when_redis_is_killed_under_load(
    own_redis: RedisServer, client: Client, queue: QueueView, recording: Recording
) -> None:
    async with worker(APP, "-c", "20", environ=recording.environ) as first:
        async with producing(client, 1500) as accepted:
            await wait_until(lambda: len(recording.notes("ended")) > 200, 20)
            own_redis.kill()
            own_redis.start()
            await wait_until(lambda: len(recording.notes("ended")) > 700, 20)
            own_redis.kill()
            own_redis.start()
        await wait_until(lambda: _none(queue, "pending"), 20)
        first.send(signal.SIGTERM)
        assert await first.ends() == 0
    # Tasks whose taking Redis had noted, but could not answer, wait for their lease to end.
    await queue.end_leases()
    async with worker(APP, "-c", "20", environ=recording.environ):
        await wait_until(lambda: set(recording.ids("ended")) == set(accepted), 20)
        await wait_until(lambda: _none(queue, "active"))
    assert len(accepted) == 1500


async def test_a_task_that_runs_while_redis_hangs_runs_once(
    own_redis: RedisServer, client: Client, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(held=True)
    async with Server(f"{own_redis.url}?socket_timeout=1").running(handler) as server:
        await handler.began()
        heartbeater = crew_of(server).heartbeater
        own_redis.pause()
        await heartbeater.steps.next()  # each gives up after a second
        await heartbeater.steps.next()
        own_redis.resume()
        await heartbeater.steps.next()
        handler.release()
        await wait_until(lambda: _is_gone(queue, info.id))
        await client.enqueue(Task("t"), task_id="next")
        await wait_until(lambda: "next" in handler.ids)
    assert handler.ids == [info.id, "next"]
    assert handler.cancelled == []


async def test_tasks_run_on_after_a_replica_took_over(redis_sentinel: RedisSentinel) -> None:
    handler = Handler()
    async with Client(redis_sentinel.url) as client:
        async with Server(redis_sentinel.url).running(handler):
            await insist(client, "before")
            await handler.began(1)
            redis_sentinel.master.kill()
            await asyncio.wait_for(insist(client, "after"), 20)
            await wait_until(lambda: "after" in handler.ids, 20)
    # What the replica had not heard of when its master died happens again.
    assert set(handler.ids) == {"before", "after"}


async def test_a_closed_client_leaves_no_connection_to_the_sentinel(
    redis_sentinel: RedisSentinel,
) -> None:
    with closing(redis_sentinel.sentinel.client()) as sentinel:
        before = len(sentinel.client_list())
        async with Client(redis_sentinel.url) as client:
            await client.ping()
        await wait_until(lambda: len(sentinel.client_list()) == before)


async def test_an_idle_worker_works_off_what_becomes_due_in_a_full_redis(
    own_redis: RedisServer, client: Client
) -> None:
    """Redis refuses to block for it then, but still gives tasks out."""
    handler = Handler()
    async with Redis.from_url(own_redis.url) as r:
        async with Server(own_redis.url).running(handler):
            await client.enqueue(Task("t"), process_in=timedelta(seconds=1))
            await r.config_set("maxmemory", 1)
            await handler.began()


class Cluster:
    """A look at, and a broom for, the nodes of a cluster."""

    def __init__(self, cluster: RedisCluster) -> None:
        self.nodes = cluster.nodes

    async def keys(self) -> list[bytes]:
        found: list[bytes] = []
        for node in self.nodes:
            async with Redis.from_url(f"unix://{node.socket}") as r:
                found += cast("list[bytes]", await r.keys("*:t:*"))
        return found

    async def misdirected(self) -> int:
        """Return how many commands came to a node that does not have their key."""
        count = 0
        for node in self.nodes:
            async with Redis.from_url(f"unix://{node.socket}") as r:
                errors = cast("dict[str, dict[str, int]]", await r.info("errorstats"))
                count += errors.get("errorstat_MOVED", {"count": 0})["count"]
        return count

    async def sweep(self) -> None:
        for node in self.nodes:
            async with Redis.from_url(f"unix://{node.socket}") as r:
                await r.flushall()


@asynccontextmanager
async def clean(cluster: RedisCluster) -> AsyncGenerator[Cluster]:
    """Yield a look at *cluster*, which is left empty."""
    look = Cluster(cluster)
    try:
        yield look
    finally:
        await look.sweep()


def joined_parts(_group: str, tasks: list[Task]) -> Task:
    return Task("joined", b"%d" % len(tasks))


QUEUES = {"a": 3, "b": 2, "c": 1}


async def test_a_worker_empties_queues_on_all_nodes_of_a_cluster(
    redis_cluster: RedisCluster,
) -> None:
    handler = Handler()
    async with clean(redis_cluster) as look, Client(redis_cluster.url) as client:
        infos = [
            info
            for queue in QUEUES
            for info in await client.enqueue_many([Task("t") for _ in range(50)], queue=queue)
        ]
        async with Server(redis_cluster.url, queues=QUEUES).running(handler):
            await handler.began(150)
            await wait_until(lambda: _is_empty(look), 20)
    assert sorted(handler.ids) == sorted(i.id for i in infos if isinstance(i, TaskInfo))


async def test_no_command_goes_to_the_wrong_node_of_a_cluster(redis_cluster: RedisCluster) -> None:
    """Told of a mistake, the driver closes its connections, with the tasks on their way on them."""
    handler = Handler()
    async with clean(redis_cluster) as look, Client(redis_cluster.url) as client:
        before = await look.misdirected()
        async with Server(redis_cluster.url, queues=QUEUES).running(handler):
            await client.enqueue_many([Task("t", queue=queue) for queue in QUEUES])
            await handler.began(3)
        assert await look.misdirected() == before


async def test_groups_are_combined_on_all_nodes_of_a_cluster(redis_cluster: RedisCluster) -> None:
    handler = Handler()
    server = Server(
        redis_cluster.url, queues=QUEUES, group_aggregator=joined_parts, group_max_size=10
    )
    async with clean(redis_cluster) as look, Client(redis_cluster.url) as client:
        before = await look.misdirected()
        await client.enqueue_many(
            [Task("t", queue=q, group="g") for q in QUEUES for _ in range(20)]
        )
        async with server.running(handler):
            await handler.began(6)
            await wait_until(lambda: _is_empty(look))
        assert await look.misdirected() == before
    assert [task.payload for task in handler.tasks] == [b"10"] * 6


async def test_delayed_and_failed_tasks_run_on_a_cluster(redis_cluster: RedisCluster) -> None:
    failing, handler = iter([RetryIn(timedelta(seconds=1))]), Handler()

    async def handle(task: object) -> None:
        await handler(task)  # type: ignore[arg-type]
        error = next(failing, None)
        assert error is None, "once"

    server = Server(
        redis_cluster.url, queues=QUEUES, retry_delay=lambda _retried, _error, _task: timedelta()
    )
    async with clean(redis_cluster) as look, Client(redis_cluster.url) as client:
        await client.enqueue(Task("t"), queue="b", process_in=timedelta(seconds=1))
        async with server.running(handle):
            await handler.began(2)
            await wait_until(lambda: _is_empty(look), 20)


async def test_a_task_on_a_cluster_can_be_canceled(redis_cluster: RedisCluster) -> None:
    handler = Handler(held=True)
    async with clean(redis_cluster), Client(redis_cluster.url) as client:
        info = await client.enqueue(Task("t"), queue="c")
        async with Server(redis_cluster.url, queues=QUEUES).running(handler) as server:
            await handler.began()
            registry = server._broker.registry  # who does not listen yet hears nothing: ask again
            await wait_until(lambda: _canceled(registry, info.id, handler))
    assert handler.cancelled == [info.id]


async def _none(queue: QueueView, state: str) -> bool:
    return not await queue.ids(state)


async def _canceled(registry: RegistryPort, task_id: str, handler: Handler) -> bool:
    await registry.cancel(task_id)
    return bool(handler.cancelled)


async def _is_gone(queue: QueueView, task_id: str) -> bool:
    return not await queue.exists(task_id)


async def _is_empty(look: Cluster) -> bool:
    return not await look.keys()
