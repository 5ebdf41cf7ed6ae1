"""Handlers call this module; it counts tasks, or measures how long each took to arrive.

The clock is `time.monotonic_ns`, which on Linux is the same in every process.
"""

import itertools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

PAYLOAD_BYTES = 100

Payload: TypeAlias = str | bytes


class Drain:
    """Counts tasks; reports the rate from the first to the n-th."""

    def __init__(self, n: int) -> None:
        """Report at the *n*-th task."""
        self._n = n
        self._numbers = itertools.count(1)  # handlers may run in threads, and this needs no lock
        self._marks = {1, max(2, n // 10), n}
        self._begin_ns = 0
        self._begin_cpu_ns = 0
        self._rss: list[int] = []

    def __call__(self, _: Payload) -> None:
        """Count one task."""
        number = next(self._numbers)
        if number in self._marks:
            self._mark(number)

    def _mark(self, number: int) -> None:
        now_ns = time.monotonic_ns()
        if number == 1:
            self._begin_ns = now_ns
            self._begin_cpu_ns = time.process_time_ns()
        self._rss.append(resident_bytes())
        if number == self._n:
            seconds = (now_ns - self._begin_ns) / 1e9
            cpu_us = (time.process_time_ns() - self._begin_cpu_ns) / 1e3 / number
            say({"rate": (number - 1) / seconds, "cpu_us": cpu_us, "rss": self._rss})


class Pickup:
    """Reports the delay of each task."""

    def __call__(self, payload: Payload) -> None:
        """Report the delay of one task."""
        say({"delay_ms": (time.monotonic_ns() - int(payload[:20])) / 1e6})


def make_timestamp() -> str:
    """Return a payload that contains the current time."""
    return f"{time.monotonic_ns():020d}".ljust(PAYLOAD_BYTES, ".")


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def say(record: dict[str, object]) -> None:
    """Write one line for the program that started this process, directly to stdout."""
    os.write(1, f"{json.dumps(record)}\n".encode())


_record: Callable[[Payload], None] = Drain(0)


def record_task(payload: Payload) -> None:
    """Record that a task with *payload* is being handled."""
    _record(payload)


def count_with(tally: Callable[[Payload], None]) -> None:
    """Call *tally* for every task from now on."""
    global _record  # noqa: PLW0603 - handlers are found by name, some in modules of their own
    _record = tally
