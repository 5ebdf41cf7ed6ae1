"""A group is combined once, no matter which side adds to it, combines it, or dies meanwhile."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Unpack, cast

from redis.asyncio import Redis

from pyasynq import Client, Server, Task, TaskState
from pyasynq.broker import AggregationSet, GroupRules, open_broker
from pyasynq.server import ServerOptions
from tests.interop.gopeer import Event, Flag, Peer
from tests.interop.handlers import Handler
from tests.interop.polling import answer, until

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
GROUPS = "asynq:{q}:groups"
GROUP = "asynq:{q}:g:g"
SETS = "asynq:{q}:aggregation_sets"


def join_payloads(_group: str, tasks: list[Task]) -> Task:
    """Join payloads by commas, as the Go program does."""
    return Task("joined", b",".join(task.payload or b"" for task in tasks))


def python_server(redis_url: str, **options: Unpack[ServerOptions]) -> Server:
    """Return a Python server that combines groups."""
    settings: ServerOptions = {
        "group_aggregator": join_payloads,
        "group_grace_period": HOUR,
        **options,
    }
    settings["queues"] = {"q": 1}
    return Server(redis_url, **settings)


def sorted_parts(*payloads: bytes) -> list[bytes]:
    """Return the joined parts, sorted."""
    return sorted(part for payload in payloads for part in payload.split(b","))


def payloads_of(events: Sequence[Event]) -> list[bytes]:
    return [event["payload"] for event in events]


async def stage_and_die(redis_url: str) -> AggregationSet:
    """Stage the group as an aggregator that then dies."""
    broker = open_broker(redis_url)
    group_set = await broker.groups.stage("q", "g", GroupRules(grace_s=3600, max_size=1))
    await broker.aclose()
    assert group_set is not None
    return group_set


async def go_leaves_unregistered(go_peer: Peer, r: Redis) -> None:
    """Run a Go server until it has moved a task to the group."""

    async def ask() -> int | None:
        return int(await r.zcard(GROUP)) or None

    async with go_peer.work(queues="q"):
        await answer(ask)
    assert await r.exists(GROUPS) == 0


async def test_python_combines_what_go_adds(go_peer: Peer, redis_url: str) -> None:
    handler = Handler()
    async with python_server(redis_url, group_max_size=2).running(handler):
        await go_peer.enqueue("part", b"a", queue="q", group="g", unique=HOUR)
        await go_peer.enqueue("part", b"b", queue="q", group="g")
        [task] = await handler.wait_for()
    assert (task.type, sorted_parts(task.payload)) == ("joined", [b"a", b"b"])


async def test_python_gives_the_locks_of_gos_tasks_back(go_peer: Peer, redis_url: str) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("part", b"a"), queue="q", group="g", unique=HOUR)
        handler = Handler()
        async with python_server(redis_url, group_max_size=1).running(handler):
            await handler.wait_for()
    assert await go_peer.enqueue("part", b"a", queue="q", group="g", unique=HOUR)


async def test_go_and_python_side_by_side_combine_each_task_once(
    go_peer: Peer, redis_url: str
) -> None:
    handler = Handler()
    settings: ServerOptions = {"group_grace_period": SECOND, "group_max_size": 3}
    async with (
        Client(redis_url) as client,
        go_peer.work(queues="q", aggregate="joined", group_max_size=3) as go,
        python_server(redis_url, **settings).running(handler),
    ):
        tasks = [Task("part", b"%d" % n, group=f"g{n % 20}") for n in range(200)]
        await client.enqueue_many(tasks, queue="q")
        await go_peer.enqueue("part", b"go", queue="q", group="g0", count=10)

        def done() -> list[bytes]:
            by_python = [task.payload for task in handler.tasks]
            return sorted_parts(*by_python, *payloads_of(go.seen("done", type="joined")))

        await until(lambda: len(done()) >= 210)
        assert done() == sorted([*(b"%d" % n for n in range(200)), *[b"go"] * 10])
        [queue] = await go_peer.inspect("queue", "q")
    assert queue["aggregating"] == 0


async def test_python_finds_a_group_that_gos_forwarder_left_unregistered(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("part", b"a"), queue="q", group="g", process_in=SECOND)
    await go_leaves_unregistered(go_peer, r)
    handler = Handler()
    async with python_server(redis_url, group_max_size=1).running(handler):
        [task] = await handler.wait_for()
    assert task.payload == b"a"


async def test_python_finds_a_group_that_go_reclaimed_and_left_unregistered(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    await go_peer.enqueue("part", b"a", queue="q", group="g")
    group_set = await stage_and_die(redis_url)
    await r.zadd(SETS, {f"{GROUP}:{group_set.id}": 1})
    await go_leaves_unregistered(go_peer, r)
    handler = Handler()
    async with python_server(redis_url, group_max_size=1).running(handler):
        [task] = await handler.wait_for()
    assert task.payload == b"a"


async def test_go_combines_what_a_dead_python_aggregator_had_set_aside(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    await go_peer.enqueue("part", b"a", queue="q", group="g")
    group_set = await stage_and_die(redis_url)
    await r.zadd(SETS, {f"{GROUP}:{group_set.id}": 1})
    async with (
        Server(redis_url, queues={"q": 1}).running(Handler()) as server,
        go_peer.work(queues="q", aggregate="joined", group_max_size=1, concurrency=1) as go,
    ):
        server.stop()
        events = await go.wait_for("done", type="joined")
    assert payloads_of(events) == [b"a"]


async def test_python_combines_what_a_killed_go_aggregator_had_set_aside(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    async def ask() -> list[bytes] | None:
        return cast("list[bytes]", await r.zrange(SETS, 0, -1)) or None

    await go_peer.enqueue("part", b"a", queue="q", group="g")
    flags: dict[str, Flag] = {"group_max_size": 1, "aggregate_sleep": HOUR}
    async with go_peer.work(queues="q", aggregate="joined", **flags) as go:
        [name] = await answer(ask)
        await go.kill()
    await r.zadd(SETS, {name: 1})
    handler = Handler()
    async with python_server(redis_url, group_max_size=1).running(handler):
        [task] = await handler.wait_for()
    assert task.payload == b"a"


async def test_go_sees_a_group_that_python_put_back(
    go_peer: Peer, redis_url: str, r: Redis
) -> None:
    await go_peer.enqueue("part", b"a", queue="q", group="g")
    group_set = await stage_and_die(redis_url)
    broker = open_broker(redis_url)
    await broker.groups.unstage(group_set)
    await broker.aclose()
    assert await go_peer.inspect("groups", "q") == [{"group": "g", "size": 1}]


async def test_go_reads_why_a_task_was_given_up_and_can_run_it(
    go_peer: Peer, redis_url: str
) -> None:
    def broken(_group: str, _tasks: list[Task]) -> Task:
        msg = "boom"
        raise ValueError(msg)

    [info] = await go_peer.enqueue("part", b"a", queue="q", group="g")
    settings: ServerOptions = {
        "group_aggregator": broken,
        "group_max_size": 1,
        "group_max_failures": 1,
    }
    async with python_server(redis_url, **settings).running(Handler()):
        task = await go_peer.task_in(TaskState.ARCHIVED, "q", info.id)
    assert task.last_error == "ValueError: boom"
    await go_peer.inspect("run", "q", info.id)
    async with go_peer.work(queues="q") as go:
        await go.wait_for("done", id=info.id)
