"""The command line shows what Go does, and Go shows what the command line does."""

import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

import anyio
import msgspec
import pytest

from tests.interop.gopeer import Peer, PeerError
from tests.interop.polling import answer

Say: TypeAlias = Callable[..., Awaitable[Any]]


@pytest.fixture
def say(redis_url: str) -> Say:
    """Return a function that runs a command and returns its JSON, if it prints any."""

    async def say(*words: str) -> object:
        command = [sys.executable, "-m", "pyasynq", *words, "-u", redis_url, "-o", "json"]
        run = partial(subprocess.run, command, check=True, capture_output=True, timeout=60)
        done: subprocess.CompletedProcess[bytes] = await anyio.to_thread.run_sync(run)
        return msgspec.json.decode(done.stdout) if done.stdout else None

    return say


async def test_tasks_of_go_are_listed_and_moved(go_peer: Peer, say: Say) -> None:
    [info] = await go_peer.enqueue("t", b"p", queue="q", headers={"trace": "1"})
    [task] = await say("task", "list", "-q", "q", "-s", "pending")
    assert (task["id"], task["payload"], task["headers"]) == (info.id, "p", {"trace": "1"})
    await say("task", "archive", "-q", "q", "-i", info.id)
    assert [task.id for task in await go_peer.tasks("q", "archived")] == [info.id]
    await say("queue", "remove", "q", "--force", "--yes")
    assert await go_peer.inspect("queues") == []


async def test_go_reads_tasks_of_the_command_line(go_peer: Peer, say: Say) -> None:
    words = "-t t -l p -q q --retry 3 --timeout 90s --retention 1h -H trace=1 --process_in 1h"
    told = await say("task", "enqueue", *words.split())
    task = await go_peer.task("q", told["id"])
    assert (task.type, task.payload, task.max_retry) == ("t", b"p", 3)
    assert (task.timeout, task.retention) == (timedelta(seconds=90), timedelta(hours=1))
    assert (dict(task.headers), task.state) == ({"trace": "1"}, "scheduled")


async def test_a_queue_is_paused_for_go_too(go_peer: Peer, say: Say) -> None:
    await go_peer.enqueue("t", queue="q")
    await say("queue", "pause", "q")
    with pytest.raises(PeerError, match="already paused"):
        await go_peer.inspect("pause", "q")


async def test_a_go_server_is_listed(go_peer: Peer, say: Say) -> None:
    async with go_peer.work(queues="q=3", concurrency=7) as go:

        async def listed() -> dict[str, Any] | None:
            return next(iter(await say("server", "list")), None)

        server = await answer(listed)
    assert (server["pid"], server["concurrency"], server["queues"]) == (go.process.pid, 7, {"q": 3})


async def test_the_statistics_are_those_of_go(go_peer: Peer, say: Say) -> None:
    await go_peer.enqueue("t", queue="q", count=3)
    [go] = await go_peer.inspect("queue", "q")
    [queue] = (await say("stats"))["queues"]
    assert (queue["Size"], queue["Pending"]) == (go["size"], go["pending"]) == (3, 3)
    assert queue["MemoryUsage"] == go["memory_usage"]
