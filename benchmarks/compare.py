"""Compare this working tree with an earlier commit: ``make bench-compare BASE=df3da0a``.

Each round does the same work with BASE, with the working tree and with BASE again, one right after
the other, in changing order. It compares CPU time, because elapsed time depends more on other load.
The exit code is 1 if a figure is a regression.
"""

import argparse
import asyncio
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks import private_redis, programs
from benchmarks.installed import PythonRun
from benchmarks.results import log_progress
from benchmarks.roster import PYASYNQ
from benchmarks.table import format_table
from benchmarks.verdicts import Verdict, judge
from tools import earlier

TURNS: Final = (
    ("base", "now", "again"),
    ("now", "again", "base"),
    ("again", "base", "now"),
)
"""Orders of the runs of a round; each round uses the next one."""

TASKS: Final = {"one": 5_000, "flight": 20_000, "many": 40_000, "drain": 40_000}
TOGETHER: Final = (("one",), ("flight",), ("many", "drain"))
"""Pieces of work that share one Redis: `drain` needs the tasks of `many`."""

QUICK: Final = 0.2
SLOTS: Final = 100
WARM_UP: Final = 0.05
PATIENCE_S: Final = 120
NAMES: Final = {
    "one": "enqueue, one at a time",
    "flight": "enqueue, 100 in flight",
    "many": "enqueue_many",
    "drain": "drain, 100 slots",
}
LEAST_CHANGE: Final = 0.01
"""Smallest reported difference, calls for a task; smaller ones come from heartbeats."""

OURS: Final = frozenset({"config|resetstat", "info", "ping"})
"""Commands that the benchmark itself sends."""

Numbers: TypeAlias = dict[str, list[float]]
Commands: TypeAlias = dict[str, dict[str, list[float]]]


class Side:
    """The measurements of one version.

    Attributes:
        python: The program that imports it.
        figures: CPU and calls for a task, by figure, one for each round.
        commands: Calls for a task, by work and command, one for each round.
    """

    def __init__(self, python: Path) -> None:
        """Measure the version that *python* imports."""
        self.python = python
        self.figures: Numbers = defaultdict(list)
        self.commands: Commands = {work: defaultdict(list) for work in NAMES}
        self._run = PythonRun(PYASYNQ, python, "", uvloop=False)

    async def measure(self, works: Sequence[str], factor: float) -> None:
        """Do *works* on one Redis; *factor* scales the number of tasks."""
        async with private_redis.start() as redis:
            for work in works:
                await self._do(work, redis, int(TASKS[work] * factor))

    async def _do(self, work: str, redis: private_redis.Server, n: int) -> None:
        whole, _ = redis.cpu_us()
        before = redis.commands()
        record = await programs.read_answer(self._command(work, redis.address, n), PATIENCE_S)
        after = redis.commands()
        whole_then, _ = redis.cpu_us()
        calls = {name: (after[name] - before.get(name, 0)) / n for name in after.keys() - OURS}
        for name, count in calls.items():
            self.commands[work][name].append(count)
        side = "worker" if work == "drain" else "client"
        self.figures[f"{NAMES[work]}: {side}, µs"].append(record["cpu_us"])
        self.figures[f"{NAMES[work]}: Redis, µs"].append((whole_then - whole) / n)
        self.figures[f"{NAMES[work]}: commands"].append(sum(calls.values()))

    def _command(self, work: str, redis: str, n: int) -> list[str]:
        flags = [f"--n={n}", f"--limit={PATIENCE_S}"]
        if work == "drain":
            return self._run.command("drain", redis, *flags, f"--concurrency={SLOTS}")
        return self._run.command("enqueue", redis, *flags, f"--how={work}")


def main() -> int:
    """Compare the versions of the command line; return the exit code."""
    options = _parse_options()
    try:
        base = earlier.python_of(options.base)
        now = earlier.python_of(options.now) if options.now else Path(sys.executable)
    except earlier.HistoryMissingError as error:
        log_progress(str(error))
        return 2
    sides = {"base": Side(base), "now": Side(now), "again": Side(base)}
    asyncio.run(_measure(sides, options.pairs, QUICK if options.quick else 1.0))
    verdicts = _judge_all(sides, options.bar / 100)
    print(_format_table(verdicts))
    print("\n".join(_list_changed_commands(sides)))
    print("\n".join(map(str, verdicts)))
    return int(any(one.is_regression for one in verdicts))


async def _measure(sides: Mapping[str, Side], pairs: int, factor: float) -> None:
    for python in {side.python for side in sides.values()}:
        await Side(python).measure(list(TASKS), WARM_UP)
    for number in range(pairs):
        log_progress(f"round {number + 1} of {pairs}")
        for works in TOGETHER:
            for name in TURNS[number % len(TURNS)]:
                await sides[name].measure(works, factor)


def _judge_all(sides: Mapping[str, Side], bar: float) -> list[Verdict]:
    base, now, again = (sides[name].figures for name in ("base", "now", "again"))
    return [judge(name, base[name], now[name], again[name], bar=bar) for name in base]


def _format_table(verdicts: Sequence[Verdict]) -> str:
    head = ("for a task", "BASE", "now", "ratio", "lowest to highest", "BASE against itself")
    rows = (
        (
            one.name,
            f"{one.base:.2f}",
            f"{one.now:.2f}",
            f"{one.ratio:.3f}",
            f"{one.lowest:.3f} to {one.highest:.3f}",
            f"±{one.spread:.3f}",
        )
        for one in verdicts
    )
    return "\n".join(format_table(head, rows)) + "\n"


def _list_changed_commands(sides: Mapping[str, Side]) -> list[str]:
    """Return a line for each command whose count is outside the range of all runs of BASE."""
    lines: list[str] = []
    for work, title in NAMES.items():
        base, now, again = (sides[side].commands[work] for side in ("base", "now", "again"))
        for name in sorted(base.keys() | now.keys()):
            known = [*base.get(name, []), *again.get(name, [])] or [0.0]
            count = statistics.median(now.get(name, [0.0]))
            was = statistics.median(known)
            if abs(count - was) >= LEAST_CHANGE and not min(known) <= count <= max(known):
                lines.append(f"{title}: {name} {was:.3f} times a task, now {count:.3f}")
    return lines or ["The number of Redis commands is the same."]


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument(
        "--base", required=True, metavar="COMMIT", help="the commit to compare with"
    )
    parser.add_argument(
        "--now", metavar="COMMIT", help="the commit to compare; default: the working tree"
    )
    parser.add_argument("--bar", type=float, default=5.0, help="limit, per cent (5)")
    parser.add_argument("--pairs", type=int, default=9, help="rounds (9)")
    parser.add_argument("--quick", action="store_true", help="a fifth of the tasks")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
