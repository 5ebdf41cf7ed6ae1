"""Several processes use one file as fast as they can: nobody gets an error, no task is lost."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.sqlite.peers import Peer, peer

IS_CAMPAIGN = "PYASYNQ_CAMPAIGN" in os.environ
CALLS = 5_000 if IS_CAMPAIGN else 25
BATCH = 20
PATIENCE = "?timeout=60"
"""Other programs may leave these processes little of the machine."""


@pytest.fixture
async def peers(url: str) -> AsyncIterator[list[Peer]]:
    """Yield four processes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(peer(f"{url}{PATIENCE}")) for _ in range(4)]


async def produce(producer: Peer) -> list[str]:
    """Enqueue many batches; return the ids."""
    return [task_id for _ in range(CALLS) for task_id in await producer("enqueue", BATCH)]


async def consume(worker: Peer, producing: "asyncio.Future[Any]") -> list[str]:
    """Do tasks until no more come; return their ids."""
    done: list[str] = []
    while not producing.done():
        done += await worker("work")
    return done + await worker("work")


@pytest.mark.timeout(3600 if IS_CAMPAIGN else 600)
async def test_four_processes_share_a_file(peers: list[Peer], file: Path) -> None:
    one, two, three, four = peers
    producing = asyncio.gather(produce(one), produce(two))
    done = await asyncio.gather(consume(three, producing), consume(four, producing))
    accepted = [task_id for ids in await producing for task_id in ids]
    assert len(accepted) == 2 * CALLS * BATCH
    assert sorted(task_id for ids in done for task_id in ids) == sorted(accepted)
    assert file.with_name("tasks.db-wal").stat().st_size < 64 * 1024 * 1024


@pytest.mark.timeout(3600 if IS_CAMPAIGN else 600)
async def test_all_four_processes_produce_and_consume(peers: list[Peer]) -> None:
    producing = asyncio.gather(*(produce(each) for each in peers))
    accepted = [task_id for ids in await producing for task_id in ids]
    done = await asyncio.gather(*(each("work") for each in peers))
    assert sorted(task_id for ids in done for task_id in ids) == sorted(accepted)
