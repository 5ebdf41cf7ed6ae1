"""A worker does not grow."""

import asyncio
import sys

from redis.asyncio import Redis

from tests.cli.processes import ROOT


async def test_the_memory_of_a_worker_stays_flat_over_tens_of_thousands_of_tasks(
    redis_url: str, r: Redis
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.e2e.apps.soak",
        redis_url,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    output, _ = await process.communicate()
    early_kib, late_kib = map(int, output.split())
    assert late_kib - early_kib < 2048
