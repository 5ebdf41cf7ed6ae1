"""A tick is enqueued once, no matter which version ticks."""

from tests.support.servers import wait_for
from tests.upgrade.queue import Queue
from tests.upgrade.sides import Side


def test_schedulers_side_by_side_enqueue_each_tick_once(
    before: Side, after: Side, queue: Queue
) -> None:
    entry = before.schedule()
    assert after.schedule() == entry
    wait_for(lambda: queue.last_tick_s(entry) > 0, "the entry to begin")
    after.work()  # a tick enqueued again after its task is done would be run again
    wait_for(lambda: len(after.ended()) >= 3, "three ticks")
    before.stop()
    after.stop()
    assert len(after.ended()) == len(set(after.ended()))
    assert sorted(after.ended() + after.ids("pending")) == sorted(after.enqueued(entry))


def test_a_scheduler_goes_on_after_the_last_tick_of_the_other_version(
    before: Side, after: Side, queue: Queue
) -> None:
    entry = before.schedule()
    wait_for(lambda: len(before.enqueued(entry)) >= 1, "a tick")
    before.stop()
    last_s, count = queue.last_tick_s(entry), queue.count("pending")
    after.schedule()
    wait_for(lambda: queue.last_tick_s(entry) >= last_s + 2, "two more ticks")
    after.stop()
    assert queue.count("pending") - count == queue.last_tick_s(entry) - last_s


def test_entries_are_seen_by_the_other_version(before: Side, after: Side) -> None:
    entry = before.schedule()
    wait_for(lambda: after.entries() == [[entry, "@every 1s"]], "the entry to be shown")
