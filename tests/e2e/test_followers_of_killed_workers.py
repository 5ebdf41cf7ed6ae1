"""Workers are killed at any moment: each task that follows another is there exactly once."""

import logging
import os
import random
import signal
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest

from pyasynq import Client, Inspector, Task
from tests.cli.processes import worker
from tests.support.waiting import wait_until

APP = "tests.e2e.apps.following:app"
IS_CAMPAIGN = "PYASYNQ_CAMPAIGN" in os.environ
TASKS, KILLS = (50_000, 200) if IS_CAMPAIGN else (800, 8)
PATIENCE_S = 1200 if IS_CAMPAIGN else 60

log = logging.getLogger(__name__)


class Notes:
    """What the workers have noted."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.touch()

    def lines(self) -> list[list[str]]:
        """Return kind, number, id and process of each run, without an unfinished line."""
        whole, _, _ = self._file.read_text().rpartition("\n")
        return [line.split() for line in whole.splitlines()]

    def count(self) -> int:
        """Return the number of runs."""
        with self._file.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))

    def kill_last(self) -> None:
        """Kill the process that has noted the last run."""
        with suppress(ProcessLookupError):
            os.kill(int(self.lines()[-1][3]), signal.SIGKILL)

    def counts(self) -> dict[str, dict[int, int]]:
        """Return the number of different tasks of each kind that follow each number."""
        ids: defaultdict[str, defaultdict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for kind, number, task_id, _ in self.lines():
            ids[kind][int(number)].add(task_id)
        return {kind: {n: len(found) for n, found in by.items()} for kind, by in ids.items()}


async def is_empty(url: str) -> bool:
    """Return whether no task waits or runs, and no mail waits."""
    async with Inspector(url) as inspector:
        queues = await inspector.queues()
        infos = [await inspector.queue_info(queue) for queue in queues]
        mail = [letter for queue in queues for letter in await inspector.mail(queue)]
    return not mail and not any(it.pending + it.active + it.retry for it in infos)


async def kill_again_and_again(notes: Notes) -> None:
    """Kill a worker after each some runs."""
    chances = random.Random(7)
    for _ in range(KILLS):
        wanted = len(notes.lines()) + chances.randint(1, 2 * TASKS // KILLS)
        await wait_until(lambda wanted=wanted: len(notes.lines()) >= wanted, PATIENCE_S)
        notes.kill_last()


@pytest.mark.timeout(3600 if IS_CAMPAIGN else 600)
async def test_each_task_that_follows_another_is_there_once(url: str, tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    environ = {"FOLLOWING_URL": url, "FOLLOWING_FILE": str(tmp_path / "notes")}
    tasks = [Task("first", b'{"number":%d}' % n, max_retry=1000) for n in range(TASKS)]
    async with Client(url) as client:
        await client.enqueue_many(tasks)
    async with worker(APP, "-p", "2", "-c", "10", environ=environ):
        await kill_again_and_again(notes)
        await wait_until(lambda: is_empty(url), PATIENCE_S)
    log.info("%d tasks, %d kills, %d runs", TASKS, KILLS, len(notes.lines()))
    well, badly = ({n: 1 for n in range(TASKS) if bool(n % 4) is it} for it in (True, False))
    expected = {"here": well, "there": well, "succeeded": well, "failed": badly}
    assert notes.counts() == expected | {"first": dict.fromkeys(range(TASKS), 1)}
