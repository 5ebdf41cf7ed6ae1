"""A sampler reads the queues at most once in its interval, however many look."""

from pyasynq import Inspector
from pyasynq.broker import Broker
from pyasynq.operations.sampler import Sampler
from tests.support.factories import a_pending, an_entry, enqueue
from tests.support.waiting import wait_until


async def alerts(broker: Broker) -> list[str]:
    """Return the messages of a dashboard that has just started, those about memory left out."""
    document = await Sampler(broker, Inspector(broker)).document()
    return [it.message for it in document["alerts"] if it.subject == "schedulers"]


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


async def test_a_scheduler_that_has_crashed_is_an_alert_until_another_has_its_entries(
    broker: Broker,
) -> None:
    await broker.schedules.write_entries("h:1:s", [an_entry("e")], ttl_s=1)
    await broker.schedules.write_entries("h:2:s", [an_entry("f")], ttl_s=60)
    assert await alerts(broker) == []
    await wait_until(lambda: alerts(broker))
    [message] = await alerts(broker)
    assert message.endswith(" min: h:1; no running one enqueues t")
    await broker.schedules.write_entries("h:3:s", [an_entry("e")], ttl_s=60)
    assert await alerts(broker) == []


async def test_a_scheduler_that_has_closed_is_no_alert(broker: Broker) -> None:
    await broker.schedules.write_entries("h:1:s", [an_entry("e")], ttl_s=60)
    await broker.schedules.clear_entries("h:1:s")
    assert await alerts(broker) == []
