"""Every broker shows servers for a while, and tells all servers what an operator cancels."""

from contextlib import aclosing
from typing import Any, cast

import anyio

from pyasynq.broker import Broker
from pyasynq.core.message import ServerInfo, WorkerInfo

SERVER = ServerInfo(host="h", pid=1, server_id="s", status="active")
WORKER = WorkerInfo(host="h", pid=1, server_id="s", task_id="1", task_type="t")


async def test_a_server_is_shown_and_cleared(broker: Broker) -> None:
    await broker.registry.write_server(SERVER, [WORKER], ttl_s=10)
    await broker.registry.clear_server(SERVER)


async def test_a_server_without_work_is_shown(broker: Broker) -> None:
    await broker.registry.write_server(SERVER, [], ttl_s=10)


async def test_clearing_a_server_that_is_not_shown_does_nothing(broker: Broker) -> None:
    await broker.registry.clear_server(SERVER)


async def test_queues_are_registered(broker: Broker) -> None:
    await broker.registry.register(["q", "r"])


async def test_a_cancelation_reaches_those_who_listen(broker: Broker) -> None:
    await broker.ping()
    with anyio.fail_after(20):
        async with aclosing(cast("Any", broker.registry.cancelations())) as cancelations:
            assert [await anext(cancelations) for _ in range(2)] == [None, None]  # subscribed
            await broker.registry.cancel("1")
            assert await anext(cancelations) == "1"


async def test_a_broker_answers_a_ping(broker: Broker) -> None:
    await broker.ping()


async def test_a_broker_is_closed_twice(broker: Broker) -> None:
    await broker.ping()
    await broker.aclose()
    await broker.aclose()
