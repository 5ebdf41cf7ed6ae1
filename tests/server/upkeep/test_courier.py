"""Mail is delivered at once by the worker that has stored it, and by others if that one dies."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from redis.asyncio import Redis

from pyasynq import ActiveTask, BrokerError, Client, Server, Task
from pyasynq.broker import Broker, Delivery, open_broker
from pyasynq.core.info import MailInfo
from pyasynq.core.verdict import DONE
from pyasynq.runtime.actor import OutageLog
from pyasynq.runtime.clock import Clock
from pyasynq.server.upkeep.courier import Courier
from tests.server.handlers import Handler, run_burst
from tests.support.factories import a_lease, a_pending, settle
from tests.support.waiting import wait_until


class ScriptedPort:
    """A port for mail that delivers as the test says."""

    def __init__(self, *deliveries: Delivery) -> None:
        self.queues: list[str] = []
        self._deliveries = iter(deliveries)

    async def deliver(self, queue: str) -> Delivery:
        self.queues.append(queue)
        return next(self._deliveries)

    async def letters(self, queue: str, start: int, count: int) -> Sequence[MailInfo]:
        raise NotImplementedError


def a_delivery(
    delivered: int = 0,
    *,
    more: bool = False,
    next_in_s: float | None = None,
    error: BrokerError | None = None,
) -> Delivery:
    return Delivery(delivered=delivered, more=more, next_in_s=next_in_s, error=error)


def courier_of(port: ScriptedPort) -> Courier:
    return Courier(port, "q", clock=Clock(), outages=OutageLog())


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    broker = open_broker(redis_url)
    yield broker
    await broker.aclose()


async def test_all_mail_that_is_due_is_delivered_in_one_step() -> None:
    port = ScriptedPort(a_delivery(128, more=True), a_delivery(3))
    assert await courier_of(port).step() == math.inf
    assert port.queues == ["q", "q"]


@pytest.mark.parametrize(("next_in_s", "wait_s"), [(1.5, 1.5), (None, math.inf)])
async def test_a_step_tells_when_the_next_letter_is_due(
    next_in_s: float | None, wait_s: float
) -> None:
    port = ScriptedPort(a_delivery(next_in_s=next_in_s))
    assert await courier_of(port).step() == wait_s


async def test_mail_that_this_server_has_stored_is_delivered_when_it_stops() -> None:
    port = ScriptedPort(a_delivery(1))
    courier = courier_of(port)
    await courier.deliver_own()
    assert port.queues == []
    courier.wake()
    await courier.deliver_own()
    assert port.queues == ["q"]


async def test_a_failure_is_logged_once_and_its_end_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost = a_delivery(error=BrokerError("node away"))
    port = ScriptedPort(lost, lost, a_delivery(), a_delivery(1), a_delivery(1))
    courier = courier_of(port)
    with caplog.at_level(logging.INFO, "pyasynq.server"):
        for _ in range(5):
            await courier.step()
    assert [record.message for record in caplog.records] == [
        "mail of 'q' cannot be delivered, and waits: node away",
        "mail of 'q' is delivered again",
    ]


async def test_mail_of_a_dead_server_is_delivered_by_another(
    broker: Broker, redis_url: str
) -> None:
    lease = await a_lease(broker)
    follower = a_pending("2", queue="default")
    await settle(broker, lease, msgspec.structs.replace(DONE, then=(follower,)))
    handler = Handler()
    async with Server(redis_url, queues={"q": 1, "default": 1}).running(handler):
        await handler.wait_for_tasks()
    assert handler.ids == ["2"]


async def test_a_worker_delivers_its_mail_although_it_does_not_serve_the_other_queue(
    client: Client, broker: Broker, redis_url: str
) -> None:
    async def add(task: ActiveTask) -> None:
        task.then(Task("next", queue="other"))

    await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True), add)
    assert (await broker.inspection.queue_info("other")).pending == 1


async def test_a_worker_ends_although_its_mail_cannot_be_delivered(
    client: Client, broker: Broker, redis_url: str, r: Redis
) -> None:
    async def add(task: ActiveTask) -> None:
        task.then(Task("next", queue="other"))

    await client.enqueue(Task("t"))
    await r.set("asynq:{other}:pending", "wrong type")
    await run_burst(Server(redis_url, burst=True), add)
    (letter,) = await broker.mail.letters("default", 0, 10)
    await r.delete("asynq:{other}:pending")
    assert (letter.to_queue, letter.type) == ("other", "next")


async def test_mail_is_delivered_while_the_worker_goes_on(client: Client, redis_url: str) -> None:
    ran = asyncio.Event()

    async def handle(task: ActiveTask) -> None:
        if task.type == "next":
            ran.set()
        else:
            task.then(Task("next", queue="other"))

    async with Server(redis_url, queues={"default": 1, "other": 1}).running(handle):
        await client.enqueue(Task("t"))
        await wait_until(ran.is_set)
