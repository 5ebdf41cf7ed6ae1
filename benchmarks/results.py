"""Keep what was measured, and say where and how."""

import asyncio
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import private_redis
from benchmarks.goals import Goal
from benchmarks.sheet import Sheet

RESULTS = Path(__file__).parent / "results"


def tell(text: str) -> None:
    """Say what is going on."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def machine(conditions: str, seconds: float) -> str:
    """Return what the numbers hold for: the machine, and the *conditions* that were chosen."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores ({_processor()}), load "
        f"{os.getloadavg()[0]:.1f}, Python {platform.python_version()}, Redis {_redis_version()}; "
        f"{conditions}; {seconds:.0f} s."
    )


def data(sheet: Sheet, reached: Sequence[Goal]) -> dict[str, object]:
    """Return what programs want to read."""
    return {
        "numbers": sheet.numbers,
        "goals": [{**asdict(goal), "mark": goal.mark} for goal in reached],
        "notes": sheet.notes,
    }


def write(name: str, report: str, numbers: dict[str, object]) -> None:
    """Write a report for people, and its *numbers* for programs."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(report)
    (RESULTS / f"{name}.json").write_text(json.dumps(numbers, indent=2) + "\n")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _redis_version() -> str:
    async def asked() -> str:
        async with private_redis.fresh() as redis:
            return redis.version()

    return asyncio.run(asked())
