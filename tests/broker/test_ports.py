"""Few ports make a broker; the layers above use them alone, and say which ones are missing."""

import inspect
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Protocol, get_type_hints

import pytest

from pyasynq import App, Client, Inspector, NotSupportedError, Server, Task
from pyasynq.broker import Broker, open_broker
from pyasynq.broker.ports import OPTIONAL
from pyasynq.broker.sqlite import in_memory
from pyasynq.core.errors import DuplicateTaskError
from pyasynq.core.states import TaskState
from tests.support.waiting import wait_until

MOST_METHODS = 34
DAY = timedelta(days=1)


class BareBroker(Broker):
    """A broker without optional ports.

    Attributes:
        is_closed: Whether it was closed.
    """

    def __init__(self, memory: Broker) -> None:
        self.is_closed = False
        self.name = "bare"
        self._memory = memory
        self.creation, self.work, self.upkeep = memory.creation, memory.work, memory.upkeep
        self.registry, self.inspection = memory.registry, memory.inspection
        self.results = memory.results

    async def ping(self) -> None:
        await self._memory.ping()

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.fixture
async def bare() -> AsyncIterator[BareBroker]:
    memory = in_memory()
    yield BareBroker(memory)
    await memory.aclose()


async def ignore(task: object) -> None:
    pass


def methods_of(kind: type) -> set[str]:
    """Return the methods of the protocol *kind*, with the inherited ones."""
    classes = [one for one in kind.__mro__ if one not in {object, Protocol}]
    return {
        name
        for one in classes
        for name, value in vars(one).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def test_few_methods_make_a_broker() -> None:
    ports = [
        kind for name, kind in get_type_hints(Broker).items() if name not in {"name", *OPTIONAL}
    ]
    methods = [name for port in ports for name in methods_of(port)] + ["ping", "aclose"]
    assert len(methods) <= MOST_METHODS


@pytest.mark.parametrize("port", OPTIONAL)
async def test_a_port_that_is_not_there_is_refused_in_one_error(bare: Broker, port: str) -> None:
    assert not bare.supports(port)
    with pytest.raises(NotSupportedError, match=f"bare does not support {OPTIONAL[port]}"):
        getattr(bare, port)


async def test_a_name_that_no_broker_has_is_no_attribute(bare: Broker) -> None:
    with pytest.raises(AttributeError, match="grouped"):
        getattr(bare, "grouped")  # noqa: B009 - a type checker knows that it is not there


async def test_an_open_broker_can_be_lent_and_stays_open(bare: BareBroker) -> None:
    async with Client(bare) as client:
        await client.enqueue(Task("t"), task_id="1")
    lent = open_broker(bare)
    await lent.ping()
    await lent.aclose()
    found = await lent.inspection.task("default", "1")
    assert found is not None
    assert (lent.name, bare.is_closed, lent.supports("groups")) == ("bare", False, False)


async def test_a_task_travels_from_client_to_worker_and_its_result_back(
    bare: BareBroker,
) -> None:
    app = App(bare)

    @app.task("double", retention=DAY)
    async def double(number: int) -> int:
        return 2 * number

    async with app, app.server(concurrency=2).running():
        info = await double.enqueue(21)
        assert await app.client.result(info) == b"42"
    async with Inspector(bare) as inspector:
        assert (await inspector.task_info("default", info.id)).state is TaskState.COMPLETED
        assert (await inspector.queue_info("default")).processed == 1


async def test_a_failed_task_waits_is_run_by_hand_and_then_archived(bare: BareBroker) -> None:
    async def fail(task: object) -> None:
        raise ValueError(task)

    async with Client(bare) as client, Inspector(bare) as inspector:
        await client.enqueue(Task("t"), task_id="1", max_retry=1)

        async def is_in(state: TaskState) -> bool:
            return (await inspector.task_info("default", "1")).state is state

        async with Server(bare).running(fail):
            await wait_until(lambda: is_in(TaskState.RETRY))
            await inspector.run_task("default", "1")
            await wait_until(lambda: is_in(TaskState.ARCHIVED))
        assert await inspector.delete_all("default", "archived") == 1
        await inspector.delete_queue("default")
        assert await inspector.queues() == []


async def test_locks_and_servers_are_those_of_every_broker(bare: BareBroker) -> None:
    async with Client(bare) as client:
        await client.enqueue(Task("t", b"1"), unique=DAY)
        with pytest.raises(DuplicateTaskError):
            await client.enqueue(Task("t", b"1"), unique=DAY)
    async with Inspector(bare) as inspector, Server(bare, queues={"q": 1}).running(ignore):
        await wait_until(inspector.servers)
        assert [dict(server.queues) for server in await inspector.servers()] == [{"q": 1}]
    async with Inspector(bare) as inspector:
        assert await inspector.servers() == []


async def test_a_feature_that_only_another_broker_has_is_refused_where_it_is_used(
    bare: BareBroker,
) -> None:
    async with Inspector(bare) as inspector:
        for question in (inspector.redis_info(), inspector.scheduler_entries()):
            with pytest.raises(NotSupportedError):
                await question
    with pytest.raises(NotSupportedError, match="groups"):
        async with Server(bare, group_aggregator=lambda group, tasks: tasks[0]).running(ignore):
            pass
