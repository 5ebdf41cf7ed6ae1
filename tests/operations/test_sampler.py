"""A sampler reads the queues at most once in its interval, however many look."""

from pyasynq import Inspector
from pyasynq.broker import Broker
from pyasynq.operations.sampler import Sampler
from tests.support.factories import a_pending, enqueue


async def test_an_overview_is_read_once_within_the_interval(broker: Broker) -> None:
    sampler = Sampler(broker, Inspector(broker), interval_s=3600.0)
    documents = [await sampler.document(), await sampler.document()]
    assert documents[0]["at"] == documents[1]["at"]


async def test_an_old_overview_is_read_again(broker: Broker) -> None:
    sampler = Sampler(broker, Inspector(broker), interval_s=0.0)
    assert (await sampler.document())["queues"] == []
    await enqueue(broker, a_pending("1"))
    (row,) = (await sampler.document())["queues"]
    assert (row["queue"], row["pending"], row["servers"]) == ("q", 1, 0)


async def test_rows_are_found_by_their_queue(broker: Broker) -> None:
    await enqueue(broker, a_pending("1"), a_pending("2", queue="r"))
    rows = await Sampler(broker, Inspector(broker)).queue_rows()
    assert [(name, row["size"]) for name, row in rows.items()] == [("q", 1), ("r", 1)]
