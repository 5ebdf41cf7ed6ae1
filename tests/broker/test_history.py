"""Every broker with a history adds up what ran, minute by minute."""

import time
from collections.abc import Mapping

import pytest

from pyasynq.broker import Broker, CountedSpan, RemoveResult
from pyasynq.core.run_stats import (
    KEPT_S,
    LENGTH,
    MINUTE_S,
    MOST_TYPES,
    OTHER,
    TEN_MINUTES_S,
    sum_of,
)
from tests.support.factories import a_pending, enqueue, take

pytestmark = pytest.mark.needs("history")

RUNS = list(range(LENGTH))


async def read(
    broker: Broker, length_s: int = MINUTE_S, *, queue: str = "q", ago_s: int = 3600
) -> Mapping[str, list[int]]:
    """Return the sums of all spans that are found."""
    spans = await broker.history.read(queue, length_s=length_s, start_s=int(time.time()) - ago_s)
    types = {type for span in spans for type in span.types}
    return {type: sum_of(span.types.get(type, ()) for span in spans) for type in types}


async def test_what_never_ran_has_no_history(broker: Broker) -> None:
    assert await broker.history.read("q", length_s=MINUTE_S, start_s=0) == []


async def test_counts_of_several_workers_are_added(broker: Broker) -> None:
    await broker.history.add("q", {"t": RUNS, "u": RUNS})
    await broker.history.add("q", {"t": RUNS})
    assert await read(broker) == {"t": [2 * n for n in RUNS], "u": RUNS}


async def test_large_counts_are_added(broker: Broker) -> None:
    large = [2**45 + n for n in range(LENGTH)]
    await broker.history.add("q", {"t": large})
    await broker.history.add("q", {"t": large})
    assert await read(broker) == {"t": [2 * n for n in large]}


@pytest.mark.parametrize("length_s", KEPT_S)
async def test_a_span_begins_at_a_multiple_of_its_length(broker: Broker, length_s: int) -> None:
    before = int(time.time())
    await broker.history.add("q", {"t": RUNS})
    after = int(time.time())
    (span,) = await broker.history.read("q", length_s=length_s, start_s=before - 3600)
    assert span == CountedSpan(start_s=span.start_s, types={"t": RUNS})
    assert span.start_s % length_s == 0
    assert before - length_s < span.start_s <= after


async def test_a_span_that_has_ended_before_is_not_read(broker: Broker) -> None:
    await broker.history.add("q", {"t": RUNS})
    late_s = int(time.time()) + 2 * TEN_MINUTES_S
    assert await broker.history.read("q", length_s=MINUTE_S, start_s=late_s) == []


async def test_queues_are_counted_apart(broker: Broker) -> None:
    await broker.history.add("q", {"t": RUNS})
    assert await read(broker, queue="r") == {}


async def test_types_beyond_the_largest_number_are_counted_as_one(broker: Broker) -> None:
    await broker.history.add("q", {f"t{n}": RUNS for n in range(MOST_TYPES + 3)})
    await broker.history.add("q", {"t0": RUNS, "new": RUNS})
    found = await read(broker, TEN_MINUTES_S)
    assert len(found) == MOST_TYPES + 1
    assert found["t0"] == [2 * n for n in RUNS]
    assert found[OTHER] == [4 * n for n in RUNS]


async def test_a_removed_queue_has_no_history(broker: Broker) -> None:
    await enqueue(broker, a_pending())
    await broker.history.add("q", {"t": RUNS})
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert await read(broker) == {}
    assert await read(broker, TEN_MINUTES_S) == {}


async def test_a_dequeue_tells_how_long_the_first_task_was_pending(broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2"))
    (result,) = await broker.work.dequeue({"q": 2}, owner="s/1", lease_s=30)
    assert result.waited_s is not None
    assert 0 <= result.waited_s < 3600
    (result,) = await broker.work.dequeue({"q": 2}, owner="s/2", lease_s=30)
    assert result.waited_s is None
    assert await take(broker) == []
