"""Verdicts are written in the end, or given up when the lease is over."""

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
from tests.server.handlers import Handler, crew_of
from tests.support.looking import QueueView, RedisQueue
from tests.support.making import a_message
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)


class Path:
    """A process path that answers `settle` as told, and nothing else."""

    def __init__(self, *answers: bool | BrokerError) -> None:
        self.asked: list[list[str]] = []
        self._answers = iter(answers)

    async def settle(self, settled: Sequence[tuple[Lease, Verdict]]) -> list[bool | BrokerError]:
        self.asked.append([lease.id for lease, _ in settled])
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


def a_lease(task_id: str, *, left_s: float = 30) -> Lease:
    message = a_message(task_id, queue="default")
    expires_at = time.monotonic() + left_s
    return Lease(message, task_id, task_id, "me", time.time(), expires_at)


@asynccontextmanager
async def writing(path: Path) -> AsyncGenerator[Completer]:
    """Yield a ledger that writes to *path*."""
    completer = Completer(path, clock=Clock(), outages=OutageLog())
    job = asyncio.create_task(completer.run())
    yield completer
    job.cancel()
    await asyncio.wait([job])


async def test_what_gathers_goes_out_together() -> None:
    path = Path(True, True)
    async with writing(path) as completer:
        completer.add(a_lease("1"), DONE)
        completer.add(a_lease("2"), DONE)
        await completer.written()
    assert path.asked == [["1", "2"]]


async def test_a_verdict_that_could_not_be_written_is_written_later() -> None:
    path = Path(BrokerUnavailableError("away"), BrokerUnavailableError("away"), True)
    async with writing(path) as completer:
        completer.add(a_lease("1"), DONE)
        await completer.written()
    assert path.asked == [["1"]] * 3


async def test_only_what_failed_is_written_again() -> None:
    path = Path(True, BrokerUnavailableError("away"), True)
    async with writing(path) as completer:
        completer.add(a_lease("1"), DONE)
        completer.add(a_lease("2"), DONE)
        await completer.written()
    assert path.asked == [["1", "2"], ["2"]]


async def test_a_verdict_that_cannot_be_written_keeps_no_other_waiting() -> None:
    path = Path(*[BrokerUnavailableError("away")] * 4, True, True)
    async with writing(path) as completer:
        completer.add(a_lease("1"), DONE)
        await wait_until(lambda: len(path.asked) == 4)  # by now it is put off for 0.4 s at least
        completer.add(a_lease("2"), DONE)
        await completer.written()
    assert path.asked[4:] == [["2"], ["1"]]


async def test_a_verdict_is_given_up_when_its_lease_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = Path(BrokerUnavailableError("away"))
    async with writing(path) as completer:
        completer.add(a_lease("1", left_s=-1), DONE)
        await completer.written()
    assert path.asked == [["1"]]
    assert "ended before done was written; the task will run again" in caplog.text


async def test_a_verdict_that_an_earlier_try_may_have_written_is_not_called_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pyasynq.server")
    replica = BrokerReadOnlyError("a replica")
    path = Path(BrokerUnavailableError("no answer"), replica, False)
    async with writing(path) as completer:
        completer.add(a_lease("1"), DONE)
        await completer.written()
    assert "task 1 (t in 'default') is held no more: done was written, though" in caplog.text
    assert "ended before done was written" not in caplog.text


async def test_a_verdict_that_no_earlier_try_can_have_written_is_called_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = Path(BrokerReadOnlyError("a replica"), False)
    async with writing(path) as completer:
        completer.add(a_lease("1"), DONE)
        await completer.written()
    assert "ended before done was written; the task will run again" in caplog.text


async def test_a_verdict_on_its_way_still_counts_as_a_lease_to_extend() -> None:
    lease = a_lease("1")
    completer = Completer(Path(), clock=Clock(), outages=OutageLog())
    completer.add(lease, DONE)
    assert list(completer.leases()) == [lease]


async def test_an_outcome_reached_while_redis_is_away_is_written_when_it_is_back(
    own_redis: RedisServer,
) -> None:
    handler = Handler(held=True)
    async with Client(own_redis.url) as client, Redis.from_url(own_redis.url) as r:
        info = await client.enqueue(Task("t"), retention=HOUR)
        async with Server(own_redis.url).running(handler) as server:
            await handler.began()
            own_redis.stop()
            handler.release()
            await crew_of(server).completer.steps.next()
            own_redis.start()
            await crew_of(server).completer.written()
        assert await RedisQueue(r).ids("completed") == [info.id]
    assert len(handler.tasks) == 1


async def test_a_worker_whose_task_was_taken_over_cannot_settle_it(
    client: Client,
    redis_url: str,
    queue: QueueView,
    caplog: pytest.LogCaptureFixture,
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(held=True)
    async with Server(redis_url).running(handler):
        await handler.began()
        await queue.give_away(info.id)
        handler.release()
    assert await queue.ids("active") == await queue.leased() == [info.id]
    assert await queue.where(info.id) == "active"
    assert f"the lease of task {info.id}" in caplog.text.replace("'", "")


async def test_a_worker_whose_lease_was_ended_cannot_settle_the_task(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(held=True)
    async with Server(redis_url).running(handler) as server:
        await handler.began()
        await queue.lose_lease(info.id)
        handler.release()
        await wait_until(lambda: not list(crew_of(server).completer.leases()))
        assert await queue.exists(info.id)
