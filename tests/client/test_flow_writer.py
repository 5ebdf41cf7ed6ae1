"""A flow with maps is stored once, and whole, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from pyasynq import Client, Flow, Task
from pyasynq.broker.redis import RedisBroker, connect, pipeline
from pyasynq.broker.redis.connection import Driver, execute
from pyasynq.broker.redis.scripts import Call
from pyasynq.core.errors import BrokerFullError
from pyasynq.core.flow_record import NewFlow
from tests.support.proxy import Proxy
from tests.support.servers import RedisServer, free_port


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """Yield a proxy before a Redis of its own."""
    with RedisServer(port=free_port()) as server:
        async with Proxy(server.port) as proxy:
            yield proxy


@pytest.fixture
async def broker(proxy: Proxy) -> AsyncIterator[RedisBroker]:
    broker = connect(proxy.url)
    yield broker
    await broker.aclose()


def with_a_map() -> Flow:
    """Return a flow whose map waits for another step."""
    flow = Flow("import", queue="q")
    flow.map([Task("t", queue="q")] * 3, after=flow.add(Task("t", queue="q")))
    return flow


async def test_a_flow_keeps_its_maps_though_the_answer_to_its_opening_was_lost(
    proxy: Proxy, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(broker)
    await client.enqueue_flow(with_a_map())  # the server knows the script from now on
    open_flow = broker.flows.open

    async def lose_the_answer(flow: NewFlow) -> bool:
        proxy.lose_answers()
        return await open_flow(flow)

    monkeypatch.setattr(broker.flows, "open", lose_the_answer)
    info = await client.enqueue_flow(with_a_map())
    batch = await broker.batches.read("q", info.step("map").batch_id or "")
    assert batch is not None
    assert (batch.state, batch.total) == ("waiting", 3)


async def test_a_full_redis_keeps_no_task_of_a_flow_that_it_does_not_store(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_flow = broker.flows.open

    async def open_in_full(flow: NewFlow) -> bool:
        await execute(broker._driver, "CONFIG", "SET", "maxmemory", 1)
        return await open_flow(flow)

    monkeypatch.setattr(broker.flows, "open", open_in_full)
    with pytest.raises(BrokerFullError):
        await Client(broker).enqueue_flow(with_a_map())
    assert await execute(broker._driver, "KEYS", "asynq:{q}:*") == []


@pytest.mark.parametrize("call", range(7))
async def test_a_call_that_is_cancelled_leaves_a_whole_flow_or_nothing(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    flow = with_a_map()
    flow.map([Task("t", queue="q")] * 2)
    run, answered = pipeline.run, 0

    async def cancel_after(driver: Driver, one: Call) -> object:
        nonlocal answered
        reply = await run(driver, one)
        answered += 1
        if answered == call + 1:
            enqueueing.cancel()
        return reply

    monkeypatch.setattr(pipeline, "run", cancel_after)
    enqueueing = asyncio.ensure_future(Client(broker).enqueue_flow(flow))
    await asyncio.wait([enqueueing])
    assert answered > call
    left = cast("list[bytes]", await execute(broker._driver, "KEYS", "asynq:{q}:*"))
    is_stored = await broker.flows.read("q", flow.id) is not None
    assert is_stored or left == []
    assert sum(b"}:t:" in key for key in left) == 6 * is_stored
