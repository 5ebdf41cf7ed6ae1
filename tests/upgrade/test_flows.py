"""Workers of earlier versions do not report the ends of steps: a server of today's notices them."""

import pytest

from tests.support.servers import wait_for
from tests.upgrade.queue import Queue
from tests.upgrade.sides import Side


def test_a_flow_goes_on_after_steps_that_an_earlier_worker_has_completed(
    today: Side, earlier_side: Side, queue: Queue
) -> None:
    today.open_flow(keeps_tasks=True)
    earlier_side.work()
    wait_for(lambda: queue.counted("processed") == 1, "the first step to be done")
    assert today.look_after_flow() == ["succeeded", "running"]
    wait_for(lambda: queue.counted("processed") == 2, "the second step to be done")
    assert today.look_after_flow() == ["succeeded", "succeeded"]
    assert earlier_side.texts() == ["first", "second"]


def test_a_step_that_an_earlier_worker_has_deleted_after_its_success_counts_as_failed(
    today: Side, earlier_side: Side, queue: Queue
) -> None:
    today.open_flow(keeps_tasks=False)
    earlier_side.work()
    wait_for(lambda: queue.counted("processed") == 1, "the first step to be done")
    assert today.look_after_flow() == ["failed", "upstream_failed"]


@pytest.mark.parametrize("keeps_tasks", [True, False])
def test_todays_worker_takes_flows_on_beside_what_an_earlier_one_has_left(
    today: Side, earlier_side: Side, queue: Queue, *, keeps_tasks: bool
) -> None:
    earlier_side.enqueue("t", 3)
    today.open_flow(keeps_tasks=keeps_tasks)
    today.work()
    wait_for(lambda: queue.counted("processed") == 5, "all tasks to be done")
    assert today.look_after_flow() == ["succeeded", "succeeded"]


def test_earlier_workers_leave_a_task_that_opens_a_flow_in_a_flow_to_one_of_today(
    today: Side, earlier_side: Side, queue: Queue
) -> None:
    today.open_flow_in_a_flow()
    earlier_side.work_typed()
    wait_for(lambda: earlier_side.ids("retry") == ["flow:inner"], "the task to be put back")
    assert today.look_after_flow() == ["running", "waiting"]
    earlier_side.stop()
    today.work()
    today.run_all("retry")
    wait_for(lambda: today.texts() == ["inside", "after"], "the steps to be done")
    assert today.look_after_flow() == ["succeeded", "succeeded"]


def test_a_flow_whose_task_an_earlier_worker_took_for_its_own_runs_after_a_retry(
    today: Side, earlier_side: Side, queue: Queue
) -> None:
    today.open_flow_in_a_flow()
    earlier_side.work()
    wait_for(lambda: queue.counted("processed") == 1, "the task to be done")
    assert today.look_after_flow() == ["failed", "upstream_failed"]
    earlier_side.stop()
    today.work()
    today.retry_flow()
    wait_for(lambda: today.texts() == ["inside", "after"], "the steps to be done")
    assert today.look_after_flow() == ["succeeded", "succeeded"]
