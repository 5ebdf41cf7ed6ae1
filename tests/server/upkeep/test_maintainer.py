"""Of all servers with a queue one does the upkeep; the next goes on when it is gone."""

import asyncio
import math
from datetime import timedelta
from typing import cast

import pytest
from redis.asyncio import Redis

from pyasynq import BrokerUnavailableError, Client, Server, Task
from pyasynq.broker import Job, Look, UpkeepPort
from pyasynq.runtime.actor import OnCall, OutageLog
from pyasynq.server.config import Config
from pyasynq.server.upkeep.maintainer import Maintainer, Worker
from tests.server.handlers import Handler, actors_of, first_queue_of
from tests.support.clocks import SteeredClock
from tests.support.waiting import wait_until

KEY = "asynq:{default}:maintainer"
SECOND = timedelta(seconds=1)


@pytest.fixture
def frequent_looks() -> None:
    """Look as seldom as in production: some tests here are about that time."""


class ScriptedPort:
    """An upkeep port whose looks find what the test says."""

    def __init__(self, *looks: Look | Exception) -> None:
        self.released: list[str] = []
        self._looks = iter(looks)

    async def look(self, _queue: str, *, server_id: str) -> Look:
        assert server_id == "me"
        look = next(self._looks)
        if isinstance(look, Exception):
            raise look
        return look

    async def release(self, _queue: str, *, server_id: str) -> None:
        self.released.append(server_id)


class Counter(OnCall):
    """Counts how often it is woken."""

    name = "counter"

    def __init__(self) -> None:
        super().__init__(clock=SteeredClock(), outages=OutageLog())
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    async def step(self) -> float:
        raise AssertionError


class Upkeep:
    """A maintainer, and what its looks lead to."""

    def __init__(
        self, *looks: Look | Exception, longest: timedelta = SECOND, replaces: str | None = None
    ) -> None:
        self.port, self.clock = ScriptedPort(*looks), SteeredClock()
        self.forwarder, self.recoverer = Counter(), Counter()
        self.outages = 0
        config = Config(
            server_id="me",
            clock=self.clock,
            delayed_task_check_interval=longest,
            replaces=replaces,
        )
        self.maintainer = Maintainer(
            cast("UpkeepPort", self.port),
            "q",
            {
                Job.FORWARD: Worker(actor=self.forwarder),
                Job.RECOVER: Worker(actor=self.recoverer, rest_s=5),
            },
            config=config,
            on_outage=self._note_outage,
            outages=OutageLog(),
        )

    def _note_outage(self) -> None:
        self.outages += 1


def found(*jobs: Job, next_in_s: float | None = None) -> Look:
    return Look(due=frozenset(jobs), next_in_s=next_in_s)


# -- one look --------------------------------------------------------------------------------------


async def test_only_who_has_something_to_do_is_woken() -> None:
    upkeep = Upkeep(found(Job.FORWARD))
    await upkeep.maintainer.step()
    assert (upkeep.forwarder.woken, upkeep.recoverer.woken) == (1, 0)


async def test_a_job_that_nobody_does_here_is_left_alone() -> None:
    upkeep = Upkeep(found(Job.DELIVER))
    assert await upkeep.maintainer.step() == 1


@pytest.mark.parametrize(
    ("next_in_s", "longest", "wait_s"),
    [
        (None, SECOND, 1),
        (0.25, SECOND, 0.25),
        (60, SECOND, 1),
        (None, timedelta(milliseconds=20), 0.02),
        (None, timedelta(minutes=1), 2),
    ],
    ids=["nothing waits", "due soon", "due later", "short interval", "long interval"],
)
async def test_the_next_look_is_when_a_job_is_due_or_after_the_interval(
    next_in_s: float | None, longest: timedelta, wait_s: float
) -> None:
    upkeep = Upkeep(found(next_in_s=next_in_s), longest=longest)
    assert await upkeep.maintainer.step() == wait_s


async def test_a_server_that_is_not_in_charge_looks_again_when_it_may_be() -> None:
    upkeep = Upkeep(Look(held_elsewhere_s=4.5))
    assert 4.5 <= await upkeep.maintainer.step() <= 5
    assert not upkeep.maintainer.is_in_charge
    assert (upkeep.forwarder.woken, upkeep.recoverer.woken) == (0, 0)


async def test_a_job_that_rests_is_not_begun_again_until_it_has_rested() -> None:
    due = found(Job.FORWARD, Job.RECOVER)
    upkeep = Upkeep(due, due, due)
    await upkeep.maintainer.step()
    upkeep.clock.advance(seconds=4)
    await upkeep.maintainer.step()
    assert (upkeep.forwarder.woken, upkeep.recoverer.woken) == (2, 1)
    upkeep.clock.advance(seconds=1)
    await upkeep.maintainer.step()
    assert (upkeep.forwarder.woken, upkeep.recoverer.woken) == (3, 2)


async def test_a_failed_look_is_reported_as_an_outage() -> None:
    upkeep = Upkeep(BrokerUnavailableError("away"), found())
    with pytest.raises(BrokerUnavailableError):
        await upkeep.maintainer.step()
    await upkeep.maintainer.step()
    assert upkeep.outages == 1


async def test_a_server_that_replaces_a_dead_one_does_not_wait_for_it() -> None:
    upkeep = Upkeep(found(), found(), replaces="dead")
    await upkeep.maintainer.step()
    await upkeep.maintainer.step()
    assert upkeep.port.released == ["dead"]


# -- several servers -------------------------------------------------------------------------------


async def test_one_of_several_servers_does_the_upkeep(redis_url: str, r: Redis) -> None:
    servers = [Server(redis_url, server_id=f"server {number}") for number in range(3)]
    first, second, third = servers
    async with first.running(Handler()), second.running(Handler()), third.running(Handler()):
        for server in servers:
            await first_queue_of(server).maintainer.step()
        in_charge = [
            one.id.encode() for one in servers if first_queue_of(one).maintainer.is_in_charge
        ]
        assert [await r.get(KEY)] == in_charge


async def test_only_the_server_in_charge_looks_after_flows_and_batches(
    redis_url: str, r: Redis
) -> None:
    first, second = Server(redis_url, server_id="first"), Server(redis_url, server_id="second")
    async with first.running(Handler()):
        await wait_until(lambda: first_queue_of(first).maintainer.is_in_charge)
        async with second.running(Handler()):
            await r.zadd("asynq:{default}:flow_timers", {"-1:gone": 1})
            await r.zadd("asynq:{default}:batches", {"gone": 1})
            await wait_until(lambda: _recoveries(first) == [1, 1])
            await first_queue_of(second).maintainer.step()
            assert _recoveries(second) == [0, 0]
    assert await r.exists("asynq:{default}:flow_timers", "asynq:{default}:batches") == 0


async def test_a_due_task_runs_although_another_server_does_the_upkeep(
    client: Client, redis_url: str
) -> None:
    handler = Handler()
    async with Server(redis_url, queues={"default": 1}).running(handler) as first:
        await wait_until(lambda: first_queue_of(first).maintainer.is_in_charge)
        async with Server(redis_url).running(handler):
            await client.enqueue(Task("t"), process_in=SECOND)
            await handler.wait_for_tasks()


async def test_when_a_server_stops_another_one_goes_on_at_once(redis_url: str, r: Redis) -> None:
    second = Server(redis_url, server_id="second")
    async with Server(redis_url, server_id="first").running(Handler()) as first:
        await wait_until(lambda: first_queue_of(first).maintainer.is_in_charge)
        await r.expire(KEY, 60)  # so it does not just run out
        job = asyncio.ensure_future(_stay(second))
        await wait_until(lambda: _has_looked(second))
        assert await r.get(KEY) == b"first"
    await wait_until(lambda: first_queue_of(second).maintainer.is_in_charge)
    job.cancel()
    await asyncio.wait([job])
    assert await r.exists(KEY) == 0


async def test_a_server_that_no_longer_serves_a_queue_leaves_its_upkeep(
    redis_url: str, r: Redis
) -> None:
    async with Server(redis_url, queues={"default": 1, "other": 1}).running(Handler()) as server:
        await wait_until(lambda: first_queue_of(server).maintainer.is_in_charge)
        await actors_of(server).queues.serve({"other": 1})
        assert await r.exists(KEY) == 0
        assert await r.exists("asynq:{other}:maintainer") == 1


async def test_a_silent_server_is_replaced_by_another(redis_url: str, r: Redis) -> None:
    await r.set(KEY, "dead", ex=5)
    async with Server(redis_url, server_id="alive").running(Handler()) as server:
        await wait_until(lambda: first_queue_of(server).maintainer.is_in_charge)
        assert await r.get(KEY) == b"alive"


async def test_a_server_that_lost_the_upkeep_while_it_slept_does_no_more(
    redis_url: str, r: Redis
) -> None:
    async with Server(redis_url).running(Handler()) as server:
        maintainer = first_queue_of(server).maintainer
        await wait_until(lambda: maintainer.is_in_charge)
        await r.set(KEY, "another", ex=60)
        await wait_until(lambda: not maintainer.is_in_charge)
        assert await r.get(KEY) == b"another"


def _recoveries(server: Server) -> list[int]:
    """Return how often the server has looked after flows, and after batches."""
    actors = first_queue_of(server)
    assert actors.flow_recoverer is not None
    assert actors.batch_recoverer is not None
    return [actors.flow_recoverer.steps.count, actors.batch_recoverer.steps.count]


async def _stay(server: Server) -> None:
    async with server.running(Handler()):
        await asyncio.sleep(math.inf)


def _has_looked(server: Server) -> bool:
    return server.state == "active" and first_queue_of(server).maintainer.steps.count > 0
