"""Operators change running servers: quiet, resume, stop, concurrency, queues."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from pyasynq import ActiveTask, Client, Inspector, OptionError, Server, ServerInfo, Task
from pyasynq.core.states import TaskState
from tests.server.aggregators import Joiner
from tests.server.handlers import Handler, actors_of
from tests.support.key_audit import audit_keys
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)


@pytest.fixture(params=["redis", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the address of an empty broker."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tasks.db"
        return
    redis: RedisServer = request.getfixturevalue("redis_server")
    with audit_keys(redis):
        yield redis.url


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with Client(url) as client:
        yield client


@pytest.fixture
async def inspector(url: str) -> AsyncIterator[Inspector]:
    async with Inspector(url) as inspector:
        yield inspector


async def shown(inspector: Inspector, server: Server) -> ServerInfo | None:
    """Return *server* as inspectors see it."""
    return next((it for it in await inspector.servers() if it.id == server.id), None)


async def wait_until_shown(
    inspector: Inspector, server: Server, expected: Callable[[ServerInfo], bool]
) -> ServerInfo:
    """Return *server* as inspectors see it, once that is as *expected*."""
    found: list[ServerInfo] = []

    async def is_shown() -> bool:
        found[:] = [it for it in [await shown(inspector, server)] if it is not None]
        return bool(found) and expected(found[0])

    await wait_until(is_shown)
    return found[0]


@asynccontextmanager
async def ready(server: Server, handler: object, inspector: Inspector) -> AsyncGenerator[Server]:
    """Run *server* for the block, which begins once the server is shown."""
    async with server.running(handler):  # type: ignore[arg-type]
        await wait_until_shown(inspector, server, lambda info: info.status == "active")
        yield server


# -- quiet and resume ------------------------------------------------------------------------------


async def test_a_quiet_server_takes_no_tasks_until_it_is_resumed(
    url: str, client: Client, inspector: Inspector
) -> None:
    handler = Handler(hold=True)
    async with ready(Server(url), handler, inspector) as server:
        await client.enqueue(Task("t"), task_id="before")
        await handler.wait_for_tasks()
        await inspector.control(server.id, quiet=True)
        await wait_until_shown(inspector, server, lambda info: info.status == "stopped")
        assert (server.state, server.problem) == ("stopped", "the server is stopped")
        await client.enqueue(Task("t"), task_id="later")
        handler.release()
        await wait_until(lambda: handler.running == 0)
        assert (await inspector.task_info("default", "later")).state is TaskState.PENDING
        await inspector.control(server.id, quiet=False)
        await handler.wait_for_tasks(2)
        await wait_until_shown(inspector, server, lambda info: info.status == "active")
    assert handler.ids == ["before", "later"]


async def test_what_is_wanted_is_noticed_without_a_notice(
    url: str, client: Client, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notice is lost on its way; the next beat reads what is wanted."""
    async with ready(Server(url), Handler(), inspector) as server:
        controller = actors_of(server).controller
        monkeypatch.setattr(actors_of(server).subscriber, "_on_control", lambda: None)
        await inspector.control("*", concurrency=7)
        await controller.step()
        assert server.load.slots == 7


async def test_the_later_of_two_wishes_holds_whichever_names_the_server(
    url: str, inspector: Inspector
) -> None:
    async with ready(Server(url, deployment="shop"), Handler(), inspector) as server:
        await inspector.control(server.id, concurrency=1)
        await inspector.control("shop", concurrency=2)
        await inspector.control("*", concurrency=3)
        await wait_until(lambda: server.load.slots == 3)
        await inspector.control(server.id, concurrency=4)
        await wait_until(lambda: server.load.slots == 4)
        await inspector.control("shop", concurrency=5)
        await wait_until(lambda: server.load.slots == 5)


async def test_each_setting_has_its_own_newest_value(url: str, inspector: Inspector) -> None:
    async with ready(Server(url), Handler(), inspector) as server:
        await inspector.control(server.id, concurrency=4)
        await inspector.control("*", quiet=True)
        info = await wait_until_shown(inspector, server, lambda it: it.status == "stopped")
        assert info.concurrency == 4


async def test_a_server_that_nobody_named_goes_on(url: str, inspector: Inspector) -> None:
    first, second = Server(url, deployment="shop"), Server(url, deployment="mail")
    async with ready(first, Handler(), inspector), ready(second, Handler(), inspector):
        (named,) = await inspector.control("shop", quiet=True)
        await wait_until_shown(inspector, first, lambda info: info.status == "stopped")
        await actors_of(second).controller.step()
        assert (named.id, second.state) == (first.id, "active")
        assert {it.id for it in await inspector.control("*", quiet=False)} == {first.id, second.id}


async def test_a_restart_finds_again_what_is_wanted_of_a_deployment(
    url: str, client: Client, inspector: Inspector
) -> None:
    await inspector.control("shop", quiet=True, concurrency=3)
    await client.enqueue(Task("t"), task_id="1")
    handler = Handler()
    server = Server(url, deployment="shop")
    async with server.running(handler):
        info = await wait_until_shown(inspector, server, lambda it: it.status == "stopped")
        assert (info.concurrency, info.deployment) == (3, "shop")
        assert (await inspector.task_info("default", "1")).state is TaskState.PENDING
        await inspector.control("shop", reset=True)
        await handler.wait_for_tasks()
        info = await wait_until_shown(inspector, server, lambda it: it.status == "active")
        assert info.concurrency == 100


async def test_what_is_wanted_of_one_server_ends_with_it(url: str, inspector: Inspector) -> None:
    async with ready(Server(url, server_id="a"), Handler(), inspector) as server:
        await inspector.control("a", concurrency=3)
        await inspector.control("*", queues={"default": 2})
        await wait_until(lambda: server.load.slots == 3)
    assert [control.target for control in await inspector.controls()] == ["*"]


async def test_what_is_wanted_can_be_read(url: str, inspector: Inspector) -> None:
    await inspector.control("shop", queues={"a": 1, "tenant-*": 2})
    await inspector.control("*", stop=True)
    await inspector.control("*", quiet=True, concurrency=5)
    every, shop = await inspector.controls()
    assert (every.target, every.state, every.concurrency, every.queues) == ("*", "quiet", 5, None)
    assert (shop.target, shop.state, shop.queues) == ("shop", None, {"a": 1, "tenant-*": 2})
    assert shop.changed_at < every.changed_at


async def test_a_signal_is_not_undone_by_operators(url: str, inspector: Inspector) -> None:
    async with ready(Server(url), Handler(), inspector) as server:
        server.stop()
        await wait_until_shown(inspector, server, lambda info: info.status == "stopped")
        await inspector.control("*", quiet=False)
        info = await wait_until_shown(inspector, server, lambda it: bool(it.not_applied))
        assert info.status == "stopped"
        assert "only a restart undoes" in info.not_applied["state"]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"reset": True, "quiet": True},
        {"quiet": True, "stop": True},
        {"concurrency": 0},
        {"concurrency": 100_001},
        {"queues": {}},
        {"queues": {"a": 0}},
        {"queues": {"{a}": 1}},
    ],
)
async def test_what_cannot_be_wanted_is_refused(
    url: str, inspector: Inspector, wrong: dict[str, object]
) -> None:
    with pytest.raises(OptionError):
        await inspector.control("*", **wrong)  # type: ignore[arg-type]
    assert await inspector.controls() == []


# -- stop ------------------------------------------------------------------------------------------


async def test_a_server_that_is_to_stop_ends_when_its_tasks_have_ended(
    url: str, client: Client, inspector: Inspector
) -> None:
    handler = Handler(hold=True)
    server = Server(url, server_id="a")
    job = asyncio.create_task(server.run(handler))
    await client.enqueue(Task("t"), task_id="1", retention=HOUR)
    await handler.wait_for_tasks()
    await inspector.control("a", stop=True)
    await wait_until(lambda: server.ended_by_operator)
    assert not job.done()
    handler.release()
    await job
    assert (await inspector.task_info("default", "1")).state is TaskState.COMPLETED
    assert await inspector.servers() == []
    assert await inspector.controls() == []


async def test_a_server_that_starts_in_a_stopped_deployment_ends_and_takes_nothing(
    url: str, client: Client, inspector: Inspector
) -> None:
    await client.enqueue(Task("t"), task_id="1")
    await inspector.control("shop", stop=True)
    server = Server(url, deployment="shop")
    async with asyncio.timeout(20):
        await server.run(Handler())
    assert server.ended_by_operator
    assert (await inspector.task_info("default", "1")).state is TaskState.PENDING


async def test_a_server_in_a_block_of_a_program_only_takes_no_more_tasks(
    url: str, inspector: Inspector
) -> None:
    async with ready(Server(url), Handler(), inspector) as server:
        await inspector.control("*", stop=True)
        info = await wait_until_shown(inspector, server, lambda it: it.status == "stopped")
        assert "only its own program can end it" in info.not_applied["state"]


# -- concurrency -----------------------------------------------------------------------------------


async def test_more_tasks_run_at_once_and_then_fewer(
    url: str, client: Client, inspector: Inspector
) -> None:
    handler = Handler(hold=True)
    async with ready(Server(url, concurrency=1), handler, inspector) as server:
        await client.enqueue_many([Task("t") for _ in range(6)])
        await handler.wait_for_tasks(1)
        await inspector.control("*", concurrency=3)
        await handler.wait_for_tasks(3)
        await inspector.control("*", concurrency=2)
        info = await wait_until_shown(inspector, server, lambda it: it.concurrency == 2)
        assert (info.status, handler.running, server.load.slots) == ("active", 3, 2)
        assert actors_of(server).runner.slots.free == -1
        handler.release()
        await handler.wait_for_tasks(6)
        await wait_until(lambda: server.load.busy == 0)
    assert handler.max_running == 3


async def test_threads_follow_the_concurrency(
    url: str, client: Client, inspector: Inspector
) -> None:
    began: list[str] = []
    proceed = threading.Event()

    def handle(task: ActiveTask) -> None:
        began.append(task.id)
        proceed.wait(60)

    async with ready(Server(url, concurrency=1), handle, inspector) as server:
        await client.enqueue_many([Task("t") for _ in range(5)])
        await wait_until(lambda: len(began) == 1)
        await inspector.control("*", concurrency=3)
        await wait_until(lambda: len(began) == 3)
        await inspector.control("*", concurrency=4)
        await wait_until(lambda: len(began) == 4)
        await inspector.control("*", concurrency=1)
        await wait_until(lambda: server.load.slots == 1)
        proceed.set()
        await wait_until(lambda: len(began) == 5)


async def test_plain_handlers_get_two_tasks_for_each_thread_at_most(
    url: str, inspector: Inspector
) -> None:
    def handle(task: ActiveTask) -> None:
        raise ValueError(task)

    async with ready(Server(url, concurrency=2, threads=3), handle, inspector) as server:
        await inspector.control("*", concurrency=50)
        info = await wait_until_shown(inspector, server, lambda it: it.concurrency == 6)
        assert "6 instead of 50" in info.not_applied["concurrency"]


# -- queues ----------------------------------------------------------------------------------------


async def test_queues_are_added_and_removed(url: str, client: Client, inspector: Inspector) -> None:
    handler = Handler()
    async with ready(Server(url, queues={"a": 1}), handler, inspector) as server:
        await client.enqueue(Task("t"), queue="b", task_id="b1")
        await client.enqueue(Task("t"), queue="b", task_id="b2", process_in=timedelta(seconds=1))
        await inspector.control("*", queues={"b": 3, "c": 1})
        await handler.wait_for_tasks(2)
        info = await wait_until_shown(inspector, server, lambda it: "c" in it.queues)
        assert info.queues == {"b": 3, "c": 1}
        await client.enqueue(Task("t"), queue="a", task_id="a1")
        await client.enqueue(Task("t"), queue="c", task_id="c1")
        await handler.wait_for_tasks(3)
        await inspector.control("*", reset=True)
        await handler.wait_for_tasks(4)
    assert handler.ids == ["b1", "b2", "c1", "a1"]


async def test_tasks_of_a_removed_queue_keep_their_leases_and_end(
    url: str, client: Client, inspector: Inspector
) -> None:
    handler = Handler(hold=True)
    async with ready(Server(url, queues={"a": 1, "b": 1}), handler, inspector) as server:
        await client.enqueue(Task("t"), queue="a", task_id="1", retention=HOUR)
        await handler.wait_for_tasks()
        await inspector.control("*", queues={"b": 1})
        await wait_until_shown(inspector, server, lambda info: dict(info.queues) == {"b": 1})
        (run,) = actors_of(server).runner.runs
        before = run.lease.expires_at
        await actors_of(server).heartbeater.step()
        assert run.lease.expires_at > before
        assert [actor.name for actor in actors_of(server).queues if "'a'" in actor.name] == []
        handler.release()
        await wait_until(lambda: handler.running == 0)
        await actors_of(server).completer.wait_until_written()
        assert (await inspector.task_info("a", "1")).state is TaskState.COMPLETED


async def test_a_group_of_a_removed_queue_is_combined_to_the_end(
    url: str, client: Client, inspector: Inspector
) -> None:
    joiner, handler = Joiner(hold=["g"]), Handler()
    server = Server(url, queues={"a": 1}, group_aggregator=joiner, group_max_size=1)
    async with ready(server, handler, inspector):
        await client.enqueue(Task("t", b"1"), queue="a", group="g")
        await wait_until(lambda: joiner.calls)
        await inspector.control("*", queues={"b": 1})
        await wait_until_shown(inspector, server, lambda info: dict(info.queues) == {"b": 1})
        joiner.release()

        async def is_combined() -> bool:
            return (await inspector.queue_info("a")).pending == 1

        await wait_until(is_combined)

        async def has_no_aggregator_left() -> bool:
            await actors_of(server).controller.step()
            return "aggregator of 'a'" not in [it.name for it in server._service.jobs]

        await wait_until(has_no_aggregator_left)


async def test_a_pattern_serves_the_queues_that_match_it_and_new_ones(
    url: str, client: Client, inspector: Inspector
) -> None:
    handler = Handler()
    await client.enqueue(Task("t"), queue="tenant-1", task_id="1")
    await client.enqueue(Task("t"), queue="other", task_id="other")
    server = Server(url, queues={"tenant-*": 2, "low": 1})
    async with server.running(handler):
        await handler.wait_for_tasks(1)
        await client.enqueue(Task("t"), queue="tenant-2", task_id="2")
        await actors_of(server).controller.step()
        await handler.wait_for_tasks(2)
        info = await wait_until_shown(inspector, server, lambda it: len(it.queues) == 3)
        assert info.queues == {"low": 1, "tenant-1": 2, "tenant-2": 2}
        await inspector.delete_queue("tenant-1")
        await actors_of(server).heartbeater.step()
        await actors_of(server).controller.step()
        await actors_of(server).heartbeater.step()
        assert "tenant-1" not in await inspector.queues()
    assert handler.ids == ["1", "2"]


async def test_a_burst_serves_the_queues_that_match_a_pattern(url: str, client: Client) -> None:
    handler = Handler()
    await client.enqueue(Task("t"), queue="tenant-1", task_id="1")
    async with asyncio.timeout(20):
        await Server(url, queues={"tenant-*": 1}, burst=True).run(handler)
    assert handler.ids == ["1"]


async def test_a_server_whose_pattern_matches_nothing_is_well(
    url: str, inspector: Inspector
) -> None:
    async with ready(Server(url, queues={"tenant-*": 1}), Handler(), inspector) as server:
        await wait_until(lambda: server.problem is None)
        assert await inspector.queues() == []


# -- failures --------------------------------------------------------------------------------------


async def test_the_last_state_holds_while_the_broker_is_away(own_redis: RedisServer) -> None:
    async with Inspector(own_redis.url) as inspector, Client(own_redis.url) as client:
        handler = Handler()
        async with ready(Server(own_redis.url), handler, inspector) as server:
            await inspector.control("*", quiet=True, concurrency=3)
            await wait_until(lambda: server.state == "stopped")
            own_redis.stop()
            controller = actors_of(server).controller
            controller.wake()
            await controller.steps.next()
            assert (server.state, server.load.slots) == ("stopped", 3)
            own_redis.start()
            await client.enqueue(Task("t"))
            await inspector.control("*", quiet=False)
            await handler.wait_for_tasks()
            assert server.load.slots == 3
