"""Workers are killed at any moment: each batch counts its members exactly, and is followed once."""

import logging
import os
import time
from pathlib import Path

import pytest

from pyasynq import Batch, BatchInfo, Client, Inspector, Task
from tests.cli.processes import worker
from tests.e2e.test_followers_of_killed_workers import Notes, is_empty
from tests.support.waiting import wait_until

APP = "tests.e2e.apps.batching:app"
IS_CAMPAIGN = "PYASYNQ_CAMPAIGN" in os.environ
MEMBERS, KILLS = (100_000, 60) if IS_CAMPAIGN else (1_000, 6)
PATIENCE_S = 1200 if IS_CAMPAIGN else 60

log = logging.getLogger(__name__)


async def enqueue(client: Client, kind: str) -> BatchInfo:
    members = (Task(kind, b'{"number":%d}' % n, max_retry=1000) for n in range(MEMBERS))
    then, failed = Task("then", b"{}", queue="other"), Task("failed", b"{}", queue="other")
    return await client.enqueue_batch(Batch(members, then=then, failed=failed))


async def kill_again_and_again(notes: Notes) -> None:
    """Kill a worker after each some runs, evenly until most members have run."""
    for number in range(1, KILLS + 1):
        wanted = number * 2 * MEMBERS // (KILLS + 1)
        await wait_until(lambda wanted=wanted: notes.count() >= wanted, PATIENCE_S)
        notes.kill_last()


@pytest.mark.timeout(PATIENCE_S * 3)
async def test_each_batch_is_followed_once_with_exact_counts(url: str, tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    environ = {"BATCHING_URL": url, "BATCHING_FILE": str(tmp_path / "notes")}
    async with Client(url) as client:
        batches = [await enqueue(client, kind) for kind in ("member", "unlucky")]
    began = time.monotonic()
    async with worker(APP, "-p", "2", "-c", "10", environ=environ):
        await kill_again_and_again(notes)
        await wait_until(lambda: is_empty(url), PATIENCE_S)
    seconds, runs = time.monotonic() - began, notes.count()
    log.info("%d members, %d kills, %d runs in %.0f s", 2 * MEMBERS, KILLS, runs, seconds)
    async with Inspector(url) as inspector:
        infos = [await inspector.batch(it.queue, it.id) for it in batches]
    added, unlucky = MEMBERS // 100, MEMBERS // 10
    assert [(it.state, it.total, it.ended, it.failed) for it in infos] == [
        ("succeeded", MEMBERS + added, MEMBERS + added, 0),
        ("failed", MEMBERS, MEMBERS, unlucky),
    ]
    counts = notes.counts()
    assert (counts["then"], counts["failed"]) == ({MEMBERS + added: 1}, {unlucky: 1})
    assert sum(counts["member"].values()) == MEMBERS + added
