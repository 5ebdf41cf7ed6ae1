"""The tasks are those of the committed orders, wherever the program is killed."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from pyasynq.broker import Broker
from tests.sqlite.dying_writer import POINTS
from tests.sqlite.users import KINDS
from tests.support.fork_server import ForkedProcess, start_forked
from tests.support.waiting import wait_until

Read = Callable[[str], list[object]]

ROOT = Path(__file__).parents[2]
IMPORTS = ("aiosqlite", "pyasynq.sqlite", "sqlalchemy.ext.asyncio", "sqlalchemy.orm")

ORDERS = "SELECT id FROM orders ORDER BY id"
TASKS = "SELECT CAST(id AS INTEGER) FROM pyasynq_task ORDER BY 1"


@pytest.fixture
async def start(path: Path, broker: Broker) -> Callable[[str, str], ForkedProcess]:
    """Return a function that starts a writer of a kind, which dies at a point."""
    await broker.ping()  # makes the tables

    def start(kind: str, point: str) -> ForkedProcess:
        command = ("tests.sqlite.dying_writer", str(path), kind, point)
        output = sys.stderr.fileno()
        return start_forked(command, imports=IMPORTS, variables={}, folder=ROOT, output=output)

    return start


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_writer_that_dies_leaves_both_or_nothing(
    kind: str, point: str, start: Callable[[str, str], ForkedProcess], read: Read
) -> None:
    assert await start(kind, point).wait() == -signal.SIGKILL
    expected = [1] if point == "after commit" else []
    assert (read(ORDERS), read(TASKS)) == (expected, expected)


async def test_writers_that_are_killed_at_work_leave_the_tasks_of_their_orders(
    start: Callable[[str, str], ForkedProcess], read: Read
) -> None:
    async def kill_after(kind: str, count: int) -> None:
        process = start(kind, "never")
        await wait_until(lambda: len(read(ORDERS)) >= count)
        await process.kill_and_wait()

    for number, kind in enumerate(KINDS, 1):
        await kill_after(kind, 30 * number)
    orders = cast("list[int]", read(ORDERS))
    assert (len(orders) >= 180, read(TASKS)) == (True, orders)
