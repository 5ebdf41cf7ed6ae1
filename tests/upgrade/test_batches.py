"""Workers of earlier versions count no members of batches: a server of today's notices them."""

import pytest

from tests.support.servers import wait_for
from tests.upgrade.queue import Queue
from tests.upgrade.sides import Side


@pytest.mark.parametrize(
    ("keeps_tasks", "counts", "follower"),
    [(True, ["succeeded", 3, 3, 0], "then"), (False, ["failed", 3, 3, 3], "failed")],
)
def test_members_that_an_earlier_worker_has_run_are_counted_and_followed_once(
    today: Side,
    earlier_side: Side,
    queue: Queue,
    *,
    keeps_tasks: bool,
    counts: list[object],
    follower: str,
) -> None:
    today.open_batch(3, keeps_tasks=keeps_tasks)
    earlier_side.work()
    wait_for(lambda: queue.counted("processed") == 3, "the members to be done")
    assert [today.look_after_batch() for _ in range(2)] == [counts] * 2
    wait_for(lambda: queue.counted("processed") == 4, "the follower to be done")
    assert earlier_side.texts() == ["member"] * 3 + [follower]


def test_members_are_counted_by_todays_worker_beside_an_earlier_one(
    today: Side, earlier_side: Side, queue: Queue
) -> None:
    earlier_side.enqueue("t", 3)
    earlier_side.work()
    wait_for(lambda: queue.counted("processed") == 3, "its tasks to be done")
    earlier_side.stop()
    today.open_batch(3, keeps_tasks=False)
    today.work()
    wait_for(lambda: queue.counted("processed") == 7, "the members and the follower to be done")
    assert today.look_after_batch() == ["succeeded", 3, 3, 0]
