"""What today's version has stored when a task ended is safe beside workers of earlier versions."""

from tests.support.servers import wait_for
from tests.upgrade.queue import Queue
from tests.upgrade.sides import Side


def test_an_earlier_worker_runs_a_task_that_followed_another(
    today: Side, earlier_side: Side, queue: Queue
) -> None:
    earlier_side.enqueue("t")
    today.end_followed("default")
    earlier_side.work()
    wait_for(lambda: queue.counted("processed") == 2, "the follower to be done")
    assert (earlier_side.ended(), earlier_side.texts()) == (["follower"], ["follows"])


def test_mail_for_another_queue_waits_beside_an_earlier_worker_and_is_delivered_by_todays(
    today: Side, earlier_side: Side, queue: Queue
) -> None:
    earlier_side.enqueue("t")
    today.end_followed("other")
    earlier_side.work()
    earlier_side.enqueue("t", 5)
    wait_for(lambda: queue.counted("processed") == 6, "the other tasks to be done")
    earlier_side.stop()
    assert queue.count("mail") == 1
    today.work()
    wait_for(lambda: queue.count("mail") == 0, "the mail to be delivered")
    assert today.ids("pending", "other") == ["follower"]
