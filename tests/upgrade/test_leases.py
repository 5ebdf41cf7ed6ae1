"""A task has one owner, also while two versions serve its queue."""

from tests.support.servers import wait_for
from tests.upgrade.queue import Queue
from tests.upgrade.sides import Side

HOUR_S = 3600


def test_the_tasks_of_a_killed_worker_are_done_by_the_other_version(
    before: Side, after: Side, queue: Queue
) -> None:
    ids = before.enqueue("t", 5)
    before.work(holding=True)
    wait_for(lambda: len(before.began()) == 5, "the tasks to run")
    before.kill()
    queue.end_leases()
    after.work()
    wait_for(lambda: sorted(after.ended()) == sorted(ids), "the tasks to be done")
    wait_for(lambda: queue.count("active") == 0, "the tasks to leave")


def test_the_tasks_of_a_stopped_worker_are_done_by_the_other_version(
    before: Side, after: Side, queue: Queue
) -> None:
    ids = before.enqueue("t", 5)
    before.work(holding=True, shutdown_timeout=0)
    wait_for(lambda: len(before.began()) == 5, "the tasks to run")
    before.stop()
    after.work()
    wait_for(lambda: sorted(after.ended()) == sorted(ids), "the tasks to be done")
    assert queue.counted("failed") == 0


def test_a_running_task_is_left_to_its_worker_by_the_other_version(
    before: Side, after: Side, queue: Queue
) -> None:
    held = before.enqueue("t", 5)
    before.work(holding=True, concurrency=5)
    wait_for(lambda: len(before.began()) == 5, "the tasks to run")
    after.work()
    others = after.enqueue("t", 5)
    wait_for(lambda: queue.counted("processed") == 5, "the other worker to be at work")
    before.release_handlers()
    wait_for(lambda: queue.counted("processed") == 10, "the tasks to be done")
    assert sorted(before.ended()) == sorted(held)
    assert sorted(after.ended()) == sorted(others)


def test_a_frozen_worker_cannot_end_what_the_other_version_runs_now(
    before: Side, after: Side, queue: Queue
) -> None:
    (task_id,) = before.enqueue("t", retention=HOUR_S)
    before.work(holding=True)
    wait_for(lambda: before.began() == [task_id], "the task to run")
    before.freeze()
    queue.end_leases()
    after.work(holding=True)
    wait_for(lambda: after.began() == [task_id], "the task to run again")
    before.thaw()
    before.release_handlers()
    before.stop()
    assert after.ids("active") == [task_id]
    after.release_handlers()
    wait_for(lambda: after.ids("completed") == [task_id], "the task to be done")
    assert queue.counted("processed") == queue.counted("failed") + 1
