"""Store the results, with the machine and conditions of the run."""

import asyncio
import json
import os
import platform
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import private_file, private_redis
from benchmarks.goals import Goal
from benchmarks.sheet import Sheet

RESULTS = Path(__file__).parent / "results"


def log_progress(text: str) -> None:
    """Write a line about the progress to stderr."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def describe_machine(conditions: str, seconds: float) -> str:
    """Describe the machine and the chosen *conditions*."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores ({_processor()}), load "
        f"{os.getloadavg()[0]:.1f}, Python {platform.python_version()}, Redis {_redis_version()}, "
        f"SQLite {sqlite3.sqlite_version}, a sync of the disk takes "
        f"{private_file.measure_sync_ms():.2f} ms; {conditions}; {seconds:.0f} s."
    )


def to_data(sheet: Sheet, reached: Sequence[Goal]) -> dict[str, object]:
    """Return the results as data for programs."""
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
    async def read_version() -> str:
        async with private_redis.start() as redis:
            return redis.version()

    return asyncio.run(read_version())
