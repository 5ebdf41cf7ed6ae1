"""Other programs hold the write lock; calls wait, or say so in plain words."""

import asyncio
from pathlib import Path

from pyasynq import Client, Task
from tests.cli.processes import worker
from tests.e2e.recording import Recording
from tests.e2e.sqlite.peers import Peer, peer
from tests.support.waiting import wait_until

APP = "tests.e2e.apps.recording:app"


async def test_calls_wait_while_another_program_has_the_lock_half_of_the_time(url: str) -> None:
    async with peer(url) as holder, peer(url) as one, peer(url) as two:
        await one("size")
        holding = asyncio.create_task(holder("lock_half_of", 1))
        ids = [task_id for _ in range(20) for task_id in await one("enqueue", 5)]
        done = await two("work")
        assert await holding > 10
    assert sorted(done) == sorted(ids)


async def test_a_call_that_waits_too_long_says_who_has_the_lock(url: str, file: Path) -> None:
    async with peer(url) as holder, peer(f"{url}?timeout=0.2") as other:
        await other("enqueue", 1)
        await other("take", 1)
        await holder("lock")
        text = f"SQLite: another process has locked {file} for 0.2 s"
        error = f"BrokerUnavailableError: {text}"
        assert await other("enqueue", 2) == [error, error]
        assert await other("settle") == [error]
        assert await other("size") == 1
        await holder("unlock")
        assert await other("settle") == ["True"]
        assert len(await other("work")) == 0


async def test_a_worker_writes_its_verdicts_when_another_program_gives_the_lock_back(
    url: str, tmp_path: Path
) -> None:
    recording = Recording(tmp_path / "notes", f"{url}?timeout=0.2")
    async with (
        Client(url) as client,
        peer(url) as holder,
        worker(APP, "-c", "10", environ=recording.environ) as process,
    ):
        await client.enqueue_many([Task("work until told") for _ in range(10)])
        await wait_until(lambda: len(recording.ids("began")) == 10)
        await holder("lock")
        recording.tell()
        await wait_until(lambda: len(recording.ids("ended")) == 10)
        await process.wait_for_line(f"another process has locked {url.removeprefix('sqlite:///')}")
        assert await holder("size") == 10
        await holder("unlock")
        await process.wait_for_line("SQLite answers again")
        await wait_until(lambda: _is_empty(holder))
    assert len(recording.notes("began")) == 10
    assert [line for line in process.lines if "database is locked" in line] == []


async def _is_empty(some: Peer) -> bool:
    return await some("size") == 0
