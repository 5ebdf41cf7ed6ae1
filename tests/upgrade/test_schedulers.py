"""A tick is enqueued once, no matter which version ticks."""

import asyncio

from pyasynq import EntryNotFoundError, EntryNotPausableError, Inspector
from tests.support.servers import RedisServer, wait_for
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


def test_of_two_versions_only_todays_scheduler_obeys_a_pause(
    before: Side, after: Side, redis_server: RedisServer
) -> None:
    entry = before.schedule()
    after.schedule()
    wait_for(lambda: pause(redis_server.url, entry), "today's scheduler to have the entry")
    paused_at = len(after.enqueued(entry))
    earlier, today = sorted([before, after], key=lambda side: side.is_today)
    wait_for(lambda: len(today.enqueued(entry)) > paused_at + 1, "ticks of the earlier version")
    earlier.stop()
    ids = today.enqueued(entry)
    assert len(ids) == len(set(ids))
    resume(redis_server.url, entry)
    wait_for(lambda: len(today.enqueued(entry)) > len(ids), "a tick of today's version")
    assert len(today.enqueued(entry)) == len(set(today.enqueued(entry)))


def pause(url: str, entry: str) -> bool:
    """Pause an entry, as today's inspector does; return whether some scheduler can obey."""

    async def ask() -> bool:
        async with Inspector(url) as inspector:
            try:
                await inspector.pause_entry(entry)
            except (EntryNotFoundError, EntryNotPausableError):
                return False
            return True

    return asyncio.run(ask())


def resume(url: str, entry: str) -> None:
    """Resume an entry."""

    async def ask() -> None:
        async with Inspector(url) as inspector:
            await inspector.resume_entry(entry)

    asyncio.run(ask())
