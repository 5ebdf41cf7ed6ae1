"""Verdicts are written in the end, or dropped when the lease has ended."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import BrokerUnavailableError, Client, Clock, Server, Task
from pyasynq.broker import DequeueResult, Lease
from pyasynq.core.errors import BrokerError, BrokerReadOnlyError
from pyasynq.core.verdict import DONE, Verdict
from pyasynq.runtime.actor import OutageLog
from pyasynq.server.run.completer import Completer
from tests.server.handlers import Handler, actors_of
from tests.support.factories import a_message
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)


class ScriptedPort:
    """A work port that answers `settle` as the test says, and nothing else."""

    def __init__(self, *answers: bool | BrokerError) -> None:
        self.calls: list[list[str]] = []
        self._answers = iter(answers)

    async def settle(self, settled: Sequence[tuple[Lease, Verdict]]) -> list[bool | BrokerError]:
        self.calls.append([lease.id for lease, _ in settled])
        return [next(self._answers) for _ in settled]

    async def dequeue(
        self, counts: Mapping[str, int], *, owner: str, lease_s: float
    ) -> list[DequeueResult]:
        raise NotImplementedError

    async def undo_dequeue(self, queue: str, owner: str) -> int:
        raise NotImplementedError

    async def wait(self, queue: str) -> bool:
        raise NotImplementedError

    async def extend(self, leases: Sequence[Lease], *, lease_s: float) -> list[bool | BrokerError]:
        raise NotImplementedError

    async def mark_started(self, lease: Lease) -> bool:
        raise NotImplementedError

    async def write_result(self, lease: Lease, result: bytes) -> bool:
        raise NotImplementedError

    async def reserve_members(self, queue: str, batch_id: str, count: int) -> int | None:
        raise NotImplementedError


def make_lease(task_id: str, *, left_s: float = 30) -> Lease:
    message = a_message(task_id, queue="default")
    expires_at = time.monotonic() + left_s
    return Lease(message, task_id, task_id, "me", time.time(), expires_at)


def ignore(lease: Lease, verdict: Verdict) -> None:
    pass


@asynccontextmanager
async def running_completer(port: ScriptedPort) -> AsyncGenerator[Completer]:
    """Yield a running completer that writes to *port*."""
    completer = Completer(port, clock=Clock(), outages=OutageLog(), on_written=ignore)
    job = asyncio.create_task(completer.run())
    yield completer
    job.cancel()
    await asyncio.wait([job])


async def test_verdicts_that_arrive_together_are_written_together() -> None:
    port = ScriptedPort(True, True)
    async with running_completer(port) as completer:
        completer.add(make_lease("1"), DONE)
        completer.add(make_lease("2"), DONE)
        await completer.wait_until_written()
    assert port.calls == [["1", "2"]]


async def test_a_verdict_that_could_not_be_written_is_written_later() -> None:
    port = ScriptedPort(BrokerUnavailableError("away"), BrokerUnavailableError("away"), True)
    async with running_completer(port) as completer:
        completer.add(make_lease("1"), DONE)
        await completer.wait_until_written()
    assert port.calls == [["1"]] * 3


async def test_only_verdicts_that_failed_are_written_again() -> None:
    port = ScriptedPort(True, BrokerUnavailableError("away"), True)
    async with running_completer(port) as completer:
        completer.add(make_lease("1"), DONE)
        completer.add(make_lease("2"), DONE)
        await completer.wait_until_written()
    assert port.calls == [["1", "2"], ["2"]]


async def test_a_verdict_that_cannot_be_written_does_not_delay_the_others() -> None:
    port = ScriptedPort(*[BrokerUnavailableError("away")] * 4, True, True)
    async with running_completer(port) as completer:
        completer.add(make_lease("1"), DONE)
        await wait_until(lambda: len(port.calls) == 4)  # by now it is put off for 0.4 s at least
        completer.add(make_lease("2"), DONE)
        await completer.wait_until_written()
    assert port.calls[4:] == [["2"], ["1"]]


async def test_a_verdict_is_given_up_when_its_lease_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = ScriptedPort(BrokerUnavailableError("away"))
    async with running_completer(port) as completer:
        completer.add(make_lease("1", left_s=-1), DONE)
        await completer.wait_until_written()
    assert port.calls == [["1"]]
    assert "ended before done was written; the task will run again" in caplog.text


async def test_a_verdict_that_an_earlier_try_may_have_written_is_not_logged_as_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pyasynq.server")
    replica = BrokerReadOnlyError("a replica")
    port = ScriptedPort(BrokerUnavailableError("no answer"), replica, False)
    async with running_completer(port) as completer:
        completer.add(make_lease("1"), DONE)
        await completer.wait_until_written()
    assert "task 1 (t in 'default') is no longer held: either done was written" in caplog.text
    assert "ended before done was written" not in caplog.text


async def test_a_verdict_that_no_earlier_try_can_have_written_is_logged_as_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = ScriptedPort(BrokerReadOnlyError("a replica"), False)
    async with running_completer(port) as completer:
        completer.add(make_lease("1"), DONE)
        await completer.wait_until_written()
    assert "ended before done was written; the task will run again" in caplog.text


async def test_the_lease_of_an_unwritten_verdict_is_still_extended() -> None:
    lease = make_lease("1")
    completer = Completer(ScriptedPort(), clock=Clock(), outages=OutageLog(), on_written=ignore)
    completer.add(lease, DONE)
    assert list(completer.leases()) == [lease]


async def test_an_outcome_reached_while_redis_is_away_is_written_when_it_is_back(
    own_redis: RedisServer,
) -> None:
    handler = Handler(hold=True)
    async with Client(own_redis.url) as client, Redis.from_url(own_redis.url) as r:
        info = await client.enqueue(Task("t"), retention=HOUR)
        async with Server(own_redis.url).running(handler) as server:
            await handler.wait_for_tasks()
            own_redis.stop()
            handler.release()
            await actors_of(server).completer.steps.next()
            own_redis.start()
            await actors_of(server).completer.wait_until_written()
        assert await RedisQueue(r).ids("completed") == [info.id]
    assert len(handler.tasks) == 1


async def test_a_worker_whose_task_was_taken_over_cannot_settle_it(
    client: Client,
    redis_url: str,
    queue: QueueView,
    caplog: pytest.LogCaptureFixture,
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler):
        await handler.wait_for_tasks()
        await queue.take_over(info.id)
        handler.release()
    assert await queue.ids("active") == await queue.leased_ids() == [info.id]
    assert await queue.state_of(info.id) == "active"
    assert f"the lease of task {info.id}" in caplog.text.replace("'", "")


async def test_a_worker_whose_lease_was_ended_cannot_settle_the_task(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler) as server:
        await handler.wait_for_tasks()
        await queue.lose_lease(info.id)
        handler.release()
        await wait_until(lambda: not list(actors_of(server).completer.leases()))
        assert await queue.exists(info.id)
