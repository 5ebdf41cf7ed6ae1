"""Streams share what one sampler reads, and it reads only while there is one."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from pyasynq import Inspector
from pyasynq.broker import Broker, open_broker
from pyasynq.dashboard.streams import Event, Streams
from pyasynq.operations.sampler import Sampler
from tests.support.factories import a_pending, enqueue
from tests.support.servers import free_port
from tests.support.waiting import wait_until


@pytest.fixture
def sampler(broker: Broker) -> Sampler:
    """Return a sampler whose readings are old at once."""
    return Sampler(broker, Inspector(broker), interval_s=0.0)


@pytest.fixture
async def streams(sampler: Sampler) -> AsyncIterator[Streams]:
    """Yield streams that do not wait between samples."""
    streams = Streams(sampler, dict)
    yield streams
    await streams.aclose()


async def take(streams: Streams, count: int) -> list[Event]:
    events: list[Event] = []
    async with aclosing(streams.events()) as stream:
        async for event in stream:
            events.append(event)
            if len(events) == count:
                break
    return events


async def stream_until(stream: AsyncIterator[Event], wanted: list[Any]) -> AsyncIterator[Event]:
    """Yield events up to the one that shows the *wanted* queues."""
    async for event in stream:
        yield event
        if queues(event) == wanted:
            return


def queues(event: Event) -> list[Any]:
    return [(queue["queue"], queue["pending"]) for queue in json.loads(event.data)["queues"]]


async def test_a_stream_shows_what_is_there(streams: Streams, broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2", queue="r"))
    [event] = await take(streams, 1)
    assert (event.name, queues(event)) == ("sample", [("q", 1), ("r", 1)])


async def test_a_stream_goes_on(streams: Streams, broker: Broker) -> None:
    async with aclosing(streams.events()) as stream:
        assert queues(await anext(stream)) == []
        await enqueue(broker, a_pending("1"))
        found = [event async for event in stream_until(stream, [("q", 1)])]
    assert queues(found[-1]) == [("q", 1)]


async def test_all_streams_get_the_same_event(streams: Streams, sampler: Sampler) -> None:
    sampler.interval_s = 3600.0
    async with aclosing(streams.events()) as one, aclosing(streams.events()) as other:
        assert (await anext(one)) is (await anext(other))
        assert streams.streams == 2
    assert streams.streams == 0


async def test_a_slow_reader_misses_events(streams: Streams) -> None:
    async with aclosing(streams.events()) as slow:
        first = await anext(slow)
        newest = (await take(streams, 5))[-1]
        following = await anext(slow)
        assert json.loads(following.data)["at"] >= json.loads(newest.data)["at"]
        assert following is not first


async def test_nothing_is_read_when_nobody_looks(streams: Streams) -> None:
    await take(streams, 2)
    job = streams._job
    assert job is not None
    await wait_until(job.done)
    assert len(await take(streams, 1)) == 1


async def test_streams_can_be_ended(streams: Streams, sampler: Sampler) -> None:
    sampler.interval_s = 3600.0
    async with aclosing(streams.events()) as stream:
        await anext(stream)
        streams.end_streams()
        assert [event async for event in stream] == []


async def test_a_fault_ends_the_streams_so_that_browsers_connect_again(
    streams: Streams, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pyasynq.operations.sampler.overview", fail)
    assert await take(streams, 1) == []
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.undo()
    assert len(await take(streams, 1)) == 1


async def test_a_broker_that_is_away_is_reported_with_its_time() -> None:
    broker = open_broker(f"redis://127.0.0.1:{free_port()}")
    streams = Streams(Sampler(broker, Inspector(broker)), dict)
    try:
        async with aclosing(streams.events()) as stream:
            first, second = await anext(stream), await anext(stream)
    finally:
        await streams.aclose()
        await broker.aclose()
    problems = [json.loads(event.data) for event in (first, second)]
    assert [event.name for event in (first, second)] == ["problem"] * 2
    assert problems[0]["code"] == "broker-unavailable"
    assert problems[0]["since"] == problems[1]["since"]
