"""Producers and workers are killed at any moment: no accepted task is lost."""

import itertools
import logging
import os
import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.processes import ROOT
from tests.e2e.sqlite.producing import ID_BYTES
from tests.support.fork_server import ForkedProcess, start_forked
from tests.support.sqlite_queue import SqliteQueue
from tests.support.waiting import wait_until

IS_CAMPAIGN = "PYASYNQ_CAMPAIGN" in os.environ
TASKS, KILLS = (1_000_000, 400) if IS_CAMPAIGN else (4_000, 12)
PATIENCE_S = 1200 if IS_CAMPAIGN else 60

ALL_EVERY = 4
"""Each kill of this number ends all processes at once, the others end one."""

IMPORTS = ("pyasynq.cli", "pyasynq.app", "pyasynq.broker.sqlite", "pyasynq.server.server")
COMMANDS = {
    "producer": ("tests.e2e.sqlite.producing",),
    "worker": ("pyasynq", "worker", "tests.e2e.sqlite.noting:app", "-c", "50"),
}

log = logging.getLogger(__name__)


class Fleet:
    """Two producers and two workers on one file, and what they have noted."""

    def __init__(self, file: Path) -> None:
        """Use *file*, and files beside it."""
        self.file = file
        self.accepted, self.done, self.said = (
            file.with_name(name) for name in ("accepted", "done", "said")
        )
        self._runs = itertools.count()
        self._random = random.Random(7)
        self._processes: list[tuple[str, ForkedProcess]] = []

    def start(self, *kinds: str) -> None:
        """Start processes."""
        url = f"sqlite:///{self.file}"
        for kind in kinds:
            arguments = (url, f"{next(self._runs)}", f"{self.accepted}")
            with self.said.open("ab") as output:
                process = start_forked(
                    (*COMMANDS[kind], *(arguments if kind == "producer" else ())),
                    imports=IMPORTS,
                    variables={"PYASYNQ_URI": url, "DONE_FILE": f"{self.done}"},
                    folder=ROOT,
                    output=output.fileno(),
                )
            self._processes.append((kind, process))

    async def kill_one(self) -> str:
        """Kill a process; return its kind."""
        kind, process = self._processes.pop(self._random.randrange(len(self._processes)))
        await process.kill_and_wait()
        return kind

    async def kill_all(self) -> list[str]:
        """Kill all processes at once; return their kinds."""
        for _, process in self._processes:
            process.send_signal(9)
        return [await self.kill_one() for _ in list(self._processes)]

    def progress(self) -> int:
        """Return how many tasks were accepted, plus how many have run."""
        return count(self.accepted) + count(self.done)


def count(ids: Path) -> int:
    return ids.stat().st_size // ID_BYTES if ids.exists() else 0


def lines(ids: Path) -> list[str]:
    return ids.read_text().splitlines()


def check(fleet: Fleet) -> None:
    """Fail if an accepted task has neither run nor is stored, or if SQLite finds damage."""
    with closing(sqlite3.connect(fleet.file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        stored = {task_id for (task_id,) in connection.execute("SELECT id FROM pyasynq_task")}
    assert set(lines(fleet.accepted)) - set(lines(fleet.done)) - stored == set()


async def run_and_kill(fleet: Fleet) -> None:
    """Kill processes until enough tasks are accepted and most of them have run."""
    fleet.start("producer", "producer", "worker", "worker")
    for kill in range(1, KILLS + 1):
        target = 2 * TASKS * kill // (KILLS + 4)
        await wait_until(lambda target=target: fleet.progress() >= target, PATIENCE_S)
        await kill_and_replace(fleet, everything=kill % ALL_EVERY == 0)
    await wait_until(lambda: count(fleet.accepted) >= TASKS, PATIENCE_S)
    await fleet.kill_all()
    check(fleet)


async def kill_and_replace(fleet: Fleet, *, everything: bool) -> None:
    """Kill one process or all, and start as many of the kinds that are still needed."""
    killed = await fleet.kill_all() if everything else [await fleet.kill_one()]
    if everything:
        check(fleet)
    is_enough = count(fleet.accepted) >= TASKS
    fleet.start(*(kind for kind in killed if kind == "worker" or not is_enough))


async def drain(fleet: Fleet) -> None:
    """Run what is left, without a wait for the leases of killed workers."""
    queue = SqliteQueue(fleet.file)
    await queue.end_leases()
    fleet.start("worker", "worker")
    await wait_until(lambda: queue.rows("SELECT count(*) FROM pyasynq_task") == [(0,)], PATIENCE_S)
    await fleet.kill_all()
    queue.close()


@pytest.mark.timeout(7200 if IS_CAMPAIGN else 600)
async def test_every_accepted_task_runs_whatever_is_killed(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "tasks.db")
    await run_and_kill(fleet)
    await drain(fleet)
    accepted, runs = lines(fleet.accepted), Counter(lines(fleet.done))
    assert set(accepted) - runs.keys() == set()
    again = runs.total() - len(runs)
    log.info("%d accepted, %d ran, %d runs were repeated", len(accepted), len(runs), again)
    assert "database is locked" not in fleet.said.read_text()
