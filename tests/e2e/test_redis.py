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
from tests.cli.processes import worker
from tests.e2e.recording import Recording
from tests.server.handlers import Handler, actors_of
from tests.support.queue_view import QueueView
from tests.support.servers import RedisCluster, RedisSentinel, RedisServer
from tests.support.waiting import wait_until

APP = "tests.e2e.apps.recording:app"


async def enqueue_until_accepted(client: Client, task_id: str) -> str:
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
    """Enqueue *count* tasks beside the block; yield the accepted ids, complete at its end."""
    accepted: list[str] = []

    async def produce() -> None:
        for number in range(count):
            accepted.append(await enqueue_until_accepted(client, f"task-{number}"))

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
        await wait_until(lambda: _has_none(queue, "pending"), 20)
        first.send(signal.SIGTERM)
        assert await first.wait_for_end() == 0
    # Tasks of a dequeue that Redis ran but could not answer wait for the end of their lease.
    await queue.end_leases()
    async with worker(APP, "-c", "20", environ=recording.environ):
        await wait_until(lambda: set(recording.ids("ended")) == set(accepted), 20)
        await wait_until(lambda: _has_none(queue, "active"))
    assert len(accepted) == 1500


async def test_a_task_that_runs_while_redis_hangs_runs_once(
    own_redis: RedisServer, client: Client, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(f"{own_redis.url}?socket_timeout=1").running(handler) as server:
        await handler.wait_for_tasks()
        heartbeater = actors_of(server).heartbeater
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
            await enqueue_until_accepted(client, "before")
            await handler.wait_for_tasks(1)
            redis_sentinel.master.kill()
            await asyncio.wait_for(enqueue_until_accepted(client, "after"), 20)
            await wait_until(lambda: "after" in handler.ids, 20)
    # Writes that had not reached the replica when its master died are lost, so tasks run again.
    assert set(handler.ids) == {"before", "after"}


async def test_a_closed_client_leaves_no_connection_to_the_sentinel(
    redis_sentinel: RedisSentinel,
) -> None:
    with closing(redis_sentinel.sentinel.client()) as sentinel:
        before = len(sentinel.client_list())
        async with Client(redis_sentinel.url) as client:
            await client.ping()
        await wait_until(lambda: len(sentinel.client_list()) == before)


async def test_an_idle_worker_runs_tasks_that_become_due_in_a_full_redis(
    own_redis: RedisServer, client: Client
) -> None:
    """A full Redis refuses to block for the worker, but still gives out tasks."""
    handler = Handler()
    async with Redis.from_url(own_redis.url) as r:
        async with Server(own_redis.url).running(handler):
            await client.enqueue(Task("t"), process_in=timedelta(seconds=1))
            await r.config_set("maxmemory", 1)
            await handler.wait_for_tasks()


class Nodes:
    """The nodes of a cluster, to read from and to empty."""

    def __init__(self, cluster: RedisCluster) -> None:
        self.nodes = cluster.nodes

    async def keys(self) -> list[bytes]:
        found: list[bytes] = []
        for node in self.nodes:
            async with Redis.from_url(f"unix://{node.socket}") as r:
                found += cast("list[bytes]", await r.keys("*:t:*"))
        return found

    async def misdirected(self) -> int:
        """Return the number of commands sent to a node that does not have their key."""
        count = 0
        for node in self.nodes:
            async with Redis.from_url(f"unix://{node.socket}") as r:
                errors = cast("dict[str, dict[str, int]]", await r.info("errorstats"))
                count += errors.get("errorstat_MOVED", {"count": 0})["count"]
        return count

    async def flush(self) -> None:
        for node in self.nodes:
            async with Redis.from_url(f"unix://{node.socket}") as r:
                await r.flushall()


@asynccontextmanager
async def cleaned(cluster: RedisCluster) -> AsyncGenerator[Nodes]:
    """Yield the nodes of *cluster*, and empty them at the end."""
    nodes = Nodes(cluster)
    try:
        yield nodes
    finally:
        await nodes.flush()


def join_parts(_group: str, tasks: list[Task]) -> Task:
    return Task("joined", b"%d" % len(tasks))


QUEUES = {"a": 3, "b": 2, "c": 1}


async def test_a_worker_empties_queues_on_all_nodes_of_a_cluster(
    redis_cluster: RedisCluster,
) -> None:
    handler = Handler()
    async with cleaned(redis_cluster) as nodes, Client(redis_cluster.url) as client:
        infos = [
            info
            for queue in QUEUES
            for info in await client.enqueue_many([Task("t") for _ in range(50)], queue=queue)
        ]
        async with Server(redis_cluster.url, queues=QUEUES).running(handler):
            await handler.wait_for_tasks(150)
            await wait_until(lambda: _is_empty(nodes), 20)
    assert sorted(handler.ids) == sorted(i.id for i in infos if isinstance(i, TaskInfo))


async def test_no_command_goes_to_the_wrong_node_of_a_cluster(redis_cluster: RedisCluster) -> None:
    """After a redirect the driver closes its connections, and loses the tasks in their answers."""
    handler = Handler()
    async with cleaned(redis_cluster) as nodes, Client(redis_cluster.url) as client:
        before = await nodes.misdirected()
        async with Server(redis_cluster.url, queues=QUEUES).running(handler):
            await client.enqueue_many([Task("t", queue=queue) for queue in QUEUES])
            await handler.wait_for_tasks(3)
        assert await nodes.misdirected() == before


async def test_groups_are_combined_on_all_nodes_of_a_cluster(redis_cluster: RedisCluster) -> None:
    handler = Handler()
    server = Server(
        redis_cluster.url, queues=QUEUES, group_aggregator=join_parts, group_max_size=10
    )
    async with cleaned(redis_cluster) as nodes, Client(redis_cluster.url) as client:
        before = await nodes.misdirected()
        await client.enqueue_many(
            [Task("t", queue=q, group="g") for q in QUEUES for _ in range(20)]
        )
        async with server.running(handler):
            await handler.wait_for_tasks(6)
            await wait_until(lambda: _is_empty(nodes))
        assert await nodes.misdirected() == before
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
    async with cleaned(redis_cluster) as nodes, Client(redis_cluster.url) as client:
        await client.enqueue(Task("t"), queue="b", process_in=timedelta(seconds=1))
        async with server.running(handle):
            await handler.wait_for_tasks(2)
            await wait_until(lambda: _is_empty(nodes), 20)


async def test_a_task_on_a_cluster_can_be_canceled(redis_cluster: RedisCluster) -> None:
    handler = Handler(hold=True)
    async with cleaned(redis_cluster), Client(redis_cluster.url) as client:
        info = await client.enqueue(Task("t"), queue="c")
        async with Server(redis_cluster.url, queues=QUEUES).running(handler) as server:
            await handler.wait_for_tasks()
            registry = server._broker.registry  # repeat it: the server may not listen yet
            await wait_until(lambda: _canceled(registry, info.id, handler))
    assert handler.cancelled == [info.id]


async def _has_none(queue: QueueView, state: str) -> bool:
    return not await queue.ids(state)


async def _canceled(registry: RegistryPort, task_id: str, handler: Handler) -> bool:
    await registry.cancel(task_id)
    return bool(handler.cancelled)


async def _is_gone(queue: QueueView, task_id: str) -> bool:
    return not await queue.exists(task_id)


async def _is_empty(nodes: Nodes) -> bool:
    return not await nodes.keys()
