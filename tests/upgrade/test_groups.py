"""A group is combined once, no matter which version began."""

from tests.support.servers import wait_for
from tests.upgrade.queue import Queue
from tests.upgrade.sides import Side


def test_a_group_is_combined_by_the_other_version(before: Side, after: Side) -> None:
    before.enqueue("part", 3, group="g")
    after.work_on_groups()
    wait_for(lambda: _parts(after) == ["0", "1", "2"], "the group to be combined and done")


def test_a_group_of_both_versions_is_combined_once(before: Side, after: Side, queue: Queue) -> None:
    before.enqueue("part", 2, group="g")
    after.enqueue("part", 2, group="g")
    before.work_on_groups()
    after.work_on_groups()
    wait_for(lambda: queue.counted("processed") == 1, "the group to be combined and done")
    assert _parts(before, after) == ["0", "0", "1", "1"]


def test_a_group_of_a_killed_worker_is_combined_by_the_other_version(
    before: Side, after: Side, queue: Queue
) -> None:
    before.enqueue("part", 3, group="g")
    before.work_on_groups(holding=True)
    wait_for(lambda: before.began() == ["g"], "the aggregator to be called")
    before.kill()
    queue.expire_sets()
    after.work_on_groups()
    wait_for(lambda: _parts(after) == ["0", "1", "2"], "the group to be combined and done")


def _parts(*sides: Side) -> list[str]:
    """Return the parts of the combined tasks that are done, sorted."""
    return sorted(part for side in sides for text in side.texts() for part in text.split("+"))
