"""One version continues what the other enqueued or started."""

import json

from tests.support.servers import wait_for
from tests.upgrade.queue import Queue
from tests.upgrade.sides import CALL, Side

HOUR_S = 3600


def test_every_task_of_a_client_is_done_once_by_the_other_version(
    before: Side, after: Side, queue: Queue
) -> None:
    ids = before.enqueue("t", 5) + before.enqueue_many("t", 300) + [before.enqueue_sync("t")]
    after.work()
    wait_for(lambda: queue.counted("processed") == 306, "all tasks to be done")
    assert sorted(after.ended()) == sorted(ids)
    assert queue.count("pending") == queue.count("active") == 0


def test_two_workers_of_both_versions_do_each_task_once(
    before: Side, after: Side, queue: Queue
) -> None:
    before.work()
    after.work()
    ids = before.enqueue_many("t", 300) + after.enqueue_many("t", 300)
    wait_for(lambda: queue.counted("processed") == 600, "all tasks to be done")
    assert sorted(before.ended() + after.ended()) == sorted(ids)


def test_a_task_for_later_is_forwarded_and_done_by_the_other_version(
    before: Side, after: Side
) -> None:
    ids = before.enqueue("t", process_in=1)
    after.work()
    wait_for(lambda: after.ended() == ids, "the task to be due")


def test_a_task_that_failed_is_done_by_the_other_version(before: Side, after: Side) -> None:
    (task_id,) = before.enqueue("t", retention=HOUR_S)
    before.work(failing=True)
    wait_for(lambda: before.ids("retry") == [task_id], "the task to fail")
    before.stop()
    assert after.run_all("retry") == 1
    after.work()
    wait_for(lambda: after.ids("completed") == [task_id], "the task to be done")
    assert after.task(task_id)["retried"] == 1


def test_why_a_task_failed_is_read_by_the_other_version(before: Side, after: Side) -> None:
    (task_id,) = before.enqueue("t", max_retry=0)
    before.work(failing=True)
    wait_for(lambda: before.ids("archived") == [task_id], "the task to be archived")
    assert after.task(task_id) == before.task(task_id)
    assert "as the test wants it" in after.task(task_id)["last_error"]


def test_an_archived_task_is_run_again_by_the_other_version(before: Side, after: Side) -> None:
    ids = before.enqueue("t", max_retry=0)
    before.work(failing=True)
    wait_for(lambda: before.ids("archived") == ids, "the task to be archived")
    before.stop()
    after.work()
    assert after.run_all("archived") == 1
    wait_for(lambda: after.ended() == ids, "the task to be done")


def test_a_task_of_a_type_that_one_version_does_not_know_is_done_by_the_other(
    before: Side, after: Side, queue: Queue
) -> None:
    ids = before.enqueue("unknown")
    before.work_typed()
    wait_for(
        lambda: queue.count("retry") + queue.count("scheduled") == 1, "the task to be put back"
    )
    before.stop()
    assert after.run_all("retry") + after.run_all("scheduled") == 1
    after.work()
    wait_for(lambda: after.ended() == ids, "the task to be done")


def test_a_typed_call_is_done_by_the_other_version(before: Side, after: Side) -> None:
    task_id = before.call(*CALL)
    after.work_typed()
    wait_for(lambda: after.ids("completed") == [task_id], "the task to be done")
    [text] = after.texts()
    assert json.loads(text) == {"number": 7, "words": CALL[1], "more": CALL[2], "at": None}


def test_a_result_is_read_by_the_other_version(before: Side, after: Side) -> None:
    task_id = before.call(*CALL, "night")
    before.work_typed()
    assert json.loads(after.result(task_id)) == json.loads(before.texts()[0])


def test_a_client_that_waits_for_a_result_gets_it_from_the_other_version(
    before: Side, after: Side
) -> None:
    (task_id,) = before.enqueue("t", retention=HOUR_S)
    after.work()
    assert before.result(task_id) == "done"
    assert before.task(task_id)["result"] == "done"


def test_a_running_task_is_canceled_by_the_other_version(before: Side, after: Side) -> None:
    (task_id,) = before.enqueue("t")
    before.work(holding=True)
    wait_for(lambda: before.began() == [task_id], "the task to run")
    wait_for(lambda: _canceled(after, task_id), "the task to be canceled")
    assert before.ended() == []


def test_a_queue_paused_by_one_version_is_resumed_by_the_other(
    before: Side, after: Side, queue: Queue
) -> None:
    before.enqueue("t", 3)
    before.pause()
    before.work()
    after.work()
    assert queue.count("pending") == 3
    after.unpause()
    wait_for(lambda: queue.counted("processed") == 3, "the tasks to be done")


def test_servers_and_what_they_run_are_seen_by_the_other_version(before: Side, after: Side) -> None:
    ids = before.enqueue("t", 2)
    before.work(holding=True)
    wait_for(lambda: len(before.began()) == 2, "the tasks to run")
    wait_for(lambda: after.servers() != [], "the server to show itself")
    assert [pid for pid, _ in after.servers()] == [before.pid]
    assert after.servers() == before.servers()
    assert sorted(after.ids("active")) == sorted(ids)


def _canceled(side: Side, task_id: str) -> bool:
    """Cancel at each call, because a server ignores it until it has subscribed."""
    side.cancel(task_id)
    return side.ids("retry") == [task_id]
