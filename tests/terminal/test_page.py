"""What is around the body of every page."""

from pyasynq.operations.jobs import new_job
from pyasynq.operations.permissions import Permission
from pyasynq.terminal.page import _describe


def test_the_deletion_of_a_queue_shows_how_far_it_is_and_offers_no_stop() -> None:
    job = new_job(Permission.QUEUE_DELETE, "q", "ann")
    job.done, job.total = 1_200, 5_000
    assert _describe(job).plain == "delete queue q: 1,200 of 5,000 tasks"
