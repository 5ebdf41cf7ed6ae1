"""A server writes what has run for inspectors."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta

import pytest

from pyasynq import (
    ActiveTask,
    Client,
    Inspector,
    OptionError,
    QueueNotFoundError,
    RetryIn,
    Server,
    Snooze,
    Task,
)
from pyasynq.broker import Broker
from pyasynq.broker.sqlite import in_memory
from pyasynq.core.errors import BrokerError
from pyasynq.core.run_stats import FAILED, SUCCEEDED, Counts
from pyasynq.runtime.actor import OutageLog
from pyasynq.runtime.clock import Clock
from pyasynq.server.run.run_counter import RunCounter
from pyasynq.server.upkeep.historian import Historian
from tests.support.waiting import wait_until

NONE = timedelta(0)


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    broker = in_memory()
    yield broker
    await broker.aclose()


async def run_all(broker: Broker, *types: str) -> None:
    """Run a task of each type; a type says how often its task fails, or asks to run later."""
    runs: dict[str, int] = {}

    async def handle(task: ActiveTask) -> None:
        runs[task.type] = runs.get(task.type, 0) + 1
        verb, _, times = task.type.partition(" ")
        if runs[task.type] <= int(times or 0):
            raise (RetryIn if verb == "fail" else Snooze)(NONE)

    async with Client(broker) as client, Inspector(broker) as inspector:
        for type in types:
            await client.enqueue(Task(type), max_retry=2)

        async def is_over() -> bool:
            info = await inspector.queue_info("default")
            return info.size == info.archived

        async with Server(broker).running(handle):
            await wait_until(is_over)


async def test_runs_are_counted_by_type_with_their_times(broker: Broker) -> None:
    await run_all(broker, "ok", "ok", "ok", "fail 1", "fail 9", "snooze 1")
    async with Inspector(broker) as inspector:
        stats = {one.type: one for one in await inspector.type_stats()}
        (span,) = (await inspector.run_history("default"))[-1:]
    counts = {type: (one.succeeded, one.failed, one.archived) for type, one in stats.items()}
    assert counts == {
        "ok": (3, 0, 0),
        "fail 1": (1, 1, 0),
        "fail 9": (0, 3, 1),
        "snooze 1": (1, 0, 0),
    }
    assert stats["ok"].run_p50 is not None
    assert stats["ok"].run_p99 is not None
    assert NONE <= stats["ok"].run_p50 <= stats["ok"].run_p99
    assert any(one.wait_p50 is not None for one in stats.values())
    assert span.length == timedelta(minutes=1)


async def test_three_days_are_read_in_steps_of_ten_minutes(broker: Broker) -> None:
    await run_all(broker, "ok")
    async with Inspector(broker) as inspector:
        (span,) = await inspector.run_history(last=timedelta(days=3))
        assert span.length == timedelta(minutes=10)
        for wrong in (NONE, timedelta(days=4)):
            with pytest.raises(OptionError, match="last"):
                await inspector.type_stats(last=wrong)
        with pytest.raises(QueueNotFoundError):
            await inspector.type_stats("nothing")


async def test_counts_that_cannot_be_written_are_written_later() -> None:
    class Port:
        def __init__(self) -> None:
            self.written: dict[str, Mapping[str, Counts]] = {}
            self.away = True

        async def add(self, queue: str, types: Mapping[str, Counts]) -> None:
            if self.away and queue == "q":
                raise BrokerError("away")
            self.written[queue] = types

        async def read(self, queue: str, *, length_s: int, start_s: int) -> list[object]:
            raise NotImplementedError

    port, counter = Port(), RunCounter()
    historian = Historian(port, counter, clock=Clock(), outages=OutageLog("test"))  # pyright: ignore[reportArgumentType]
    counter.add_success("q", "t", 0.1)
    counter.add_success("r", "t", 0.1)
    with pytest.raises(BrokerError):
        await historian.step()
    assert port.written.keys() == {"r"}
    port.away = False
    counter.add_failure("q", "t", 0.2, archived=False)
    await historian.step()
    assert (port.written["q"]["t"][SUCCEEDED], port.written["q"]["t"][FAILED]) == (1, 1)


async def test_nothing_is_written_if_nothing_ran() -> None:
    historian = Historian(None, RunCounter(), clock=Clock(), outages=OutageLog("test"))  # pyright: ignore[reportArgumentType]
    assert await historian.step() > 0


class HangingPort:
    """Does not answer until its caller is cancelled."""

    async def add(self, queue: str, types: Mapping[str, Counts]) -> None:
        del queue, types
        await asyncio.Event().wait()


async def test_counts_whose_writing_is_cancelled_are_kept_for_the_last_step() -> None:
    counter = RunCounter()
    counter.add_success("a", "type", 0.1)
    counter.add_success("b", "type", 0.1)
    historian = Historian(HangingPort(), counter, clock=Clock(), outages=OutageLog("test"))  # pyright: ignore[reportArgumentType]
    step = asyncio.create_task(historian.step())
    await asyncio.sleep(0)
    step.cancel()
    await asyncio.wait([step])
    assert {queue: counts["type"][SUCCEEDED] for queue, counts in counter.take().items()} == {
        "a": 1,
        "b": 1,
    }


async def test_a_server_that_cannot_write_its_last_counts_still_deletes_its_record(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(queue: str, types: Mapping[str, Counts]) -> None:
        del types
        msg = f"{queue} is broken"
        raise BrokerError(msg)

    monkeypatch.setattr(broker.history, "add", refuse)
    await run_all(broker, "ok")
    async with Inspector(broker) as inspector:
        assert await inspector.servers() == []
