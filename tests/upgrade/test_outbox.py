"""A row reaches its queue once, no matter which version wrote and relayed it."""

import shutil

from tests.support.servers import wait_for
from tests.upgrade.queue import Queue
from tests.upgrade.sides import Side


def test_rows_are_relayed_by_the_other_version(
    before: Side, after: Side, queue: Queue, database: str
) -> None:
    ids = before.write(database, 20)
    after.relay(database)
    after.work()
    wait_for(lambda: queue.counted("processed") == 20, "the tasks to be done")
    assert sorted(after.ended()) == sorted(ids)


def test_a_row_whose_relay_died_before_it_could_delete_it_is_not_sent_twice(
    before: Side, after: Side, queue: Queue, database: str
) -> None:
    before.write(database, 5)
    shutil.copy(database, f"{database}.as-it-was")
    before.relay(database)
    before.work()
    wait_for(lambda: queue.counted("processed") == 5, "the tasks to be done")
    shutil.copy(f"{database}.as-it-was", database)
    after.relay(database)
    assert queue.count("pending") == queue.count("active") == 0
    assert queue.counted("processed") == 5
