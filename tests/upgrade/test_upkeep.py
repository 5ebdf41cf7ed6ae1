"""Delayed tasks, and those of dead workers, go on while either version does the upkeep."""

from tests.support.servers import wait_for
from tests.upgrade.queue import Queue
from tests.upgrade.sides import Side


def test_delayed_tasks_run_while_both_versions_do_the_upkeep(
    before: Side, after: Side, queue: Queue
) -> None:
    before.work()
    after.work()
    ids = [*before.enqueue("t", 20, process_in=1), *after.enqueue("t", 20, process_in=1)]
    wait_for(lambda: queue.counted("processed") == 40, "the tasks to be done")
    assert sorted([*before.ended(), *after.ended()]) == sorted(ids)
    assert queue.counted("failed") == 0


def test_delayed_tasks_run_after_the_worker_of_the_other_version_was_killed(
    before: Side, after: Side
) -> None:
    before.work()
    after.work()
    before.kill()
    ids = after.enqueue("t", 5, process_in=1)
    wait_for(lambda: sorted(after.ended()) == sorted(ids), "the tasks to be done")


def test_delayed_tasks_run_after_the_worker_of_the_other_version_was_frozen(
    before: Side, after: Side, queue: Queue
) -> None:
    before.work()
    after.work()
    before.freeze()
    ids = after.enqueue("t", 5, process_in=1)
    wait_for(lambda: sorted(after.ended()) == sorted(ids), "the tasks to be done")
    before.thaw()
    wait_for(lambda: queue.counted("processed") == 5, "the tasks to be counted")


def test_the_tasks_of_a_killed_worker_are_recovered_while_the_other_version_works(
    before: Side, after: Side, queue: Queue
) -> None:
    ids = before.enqueue("t", 5)
    before.work(holding=True)
    wait_for(lambda: len(before.began()) == 5, "the tasks to run")
    after.work()
    before.kill()
    queue.end_leases()
    wait_for(lambda: sorted(after.ended()) == sorted(ids), "the tasks to be done")
    wait_for(lambda: queue.count("active") == 0, "the tasks to leave")


def test_an_earlier_worker_reads_its_settings_when_todays_leaves_the_upkeep(
    today: Side, earlier_side: Side, queue: Queue
) -> None:
    today.work()
    earlier_side.work()
    today.stop()
    earlier_side.enqueue("t", process_in=1)
    wait_for(lambda: queue.counted("processed") == 1, "the task to be done")
