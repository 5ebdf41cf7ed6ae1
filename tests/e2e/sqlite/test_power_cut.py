"""The power fails at any moment: what was accepted is on the disk.

A program runs to its end while strace writes down its system calls. Then the tests make the files
that a disk would hold if the power had failed after each call: what was synced, and any part of
what was not. So they show that the library and SQLite sync in time, and that a file with a damaged
end is read; they cannot show that a disk does what it is asked.
"""

import os
import random
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.sqlite.disk import Call, Disk, trace

TASKS = 40
EVERY = 5
"""With luck the power fails after every fifth call: 250 times."""

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None or subprocess.call(["strace", "-o/dev/null", "true"]) != 0,
    reason="strace is missing, or may not trace here",
)


@dataclass(kw_only=True)
class Said:
    """What a program has said.

    Attributes:
        accepted: Tasks that were accepted.
        begun: Tasks that may be done.
        done: Tasks that are done.
        done_before: Tasks that were done before the last of *accepted* was accepted.
    """

    accepted: set[str] = field(default_factory=set[str])
    begun: set[str] = field(default_factory=set[str])
    done: set[str] = field(default_factory=set[str])
    done_before: set[str] = field(default_factory=set[str])

    def hear(self, line: bytes) -> None:
        """Note a line of the program."""
        event, task_id = line.decode().split()
        {"accepted": self.accepted, "begins": self.begun, "done": self.done}[event].add(task_id)
        if event == "accepted":
            self.done_before |= self.done


@dataclass
class Worst:
    """The most tasks that a power cut has cost.

    Attributes:
        lost: Tasks that were accepted, not begun, and are gone.
        undone: Tasks that were done before another was accepted, and are there again.
    """

    lost: int = 0
    undone: int = 0

    def compare(self, said: Said, stored: set[str]) -> None:
        self.lost = max(self.lost, len(said.accepted - said.begun - stored))
        self.undone = max(self.undone, len(said.done_before & stored))


@cache
def calls_of(setting: str) -> list[Call]:
    """Return the calls of a program that accepts tasks and does every second."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/tasks.db?synchronous={setting}"
        calls = trace(["tests.e2e.sqlite.accepting", url, f"{TASKS}"], Path(folder) / "trace")
    return [call for call in calls if is_line(call) or call.path.startswith(folder)]


def is_line(call: Call) -> bool:
    """Return whether the program has written a line."""
    return call.path == os.devnull


def cut_power(setting: str, folder: Path, luck: random.Random | None = None) -> Worst:
    """Let the power fail again and again; return the worst of it.

    Without luck nothing is on the disk that was not synced, so the power fails after each sync.
    """
    disk, said, worst = Disk(), Said(), Worst()
    for number, call in enumerate(calls_of(setting)):
        disk.apply(call)
        if is_line(call):
            said.hear(call.data)
        if (number % EVERY == 0) if luck else call.name in {"sync", "unlink", "write"}:
            disk.after_power_cut(folder, luck)
            worst.compare(said, read(folder / "tasks.db"))
    return worst


def read(file: Path) -> set[str]:
    """Return the ids in *file*; fail if SQLite finds damage."""
    if not file.exists():
        return set()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pyasynq_task'")
        if found.fetchone() is None:
            return set()
        return {task_id for (task_id,) in connection.execute("SELECT id FROM pyasynq_task")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for what the disk holds."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("setting", ["accept", "full"])
def test_what_was_accepted_is_on_the_disk_with_all_that_came_before(
    setting: str, folder: Path
) -> None:
    assert cut_power(setting, folder) == Worst(lost=0, undone=0)


@pytest.mark.parametrize("setting", ["accept", "full"])
def test_what_was_not_synced_does_no_harm_whatever_part_of_it_is_on_the_disk(
    setting: str, folder: Path
) -> None:
    assert cut_power(setting, folder, random.Random(3)) == Worst(lost=0, undone=0)


def test_with_synchronous_normal_the_last_tasks_are_lost(folder: Path) -> None:
    assert 0 < cut_power("normal", folder).lost < TASKS


def test_with_synchronous_normal_no_power_cut_damages_the_file(folder: Path) -> None:
    assert cut_power("normal", folder, random.Random(3)).lost < TASKS


def test_the_name_of_the_file_is_on_the_disk_before_a_task_is_accepted() -> None:
    calls = calls_of("accept")
    first = next(number for number, call in enumerate(calls) if is_line(call))
    synced = [Path(call.path) for call in calls[:first] if call.name == "sync"]
    assert {synced[0].parent, synced[0].with_name("tasks.db-wal")} <= set(synced)
