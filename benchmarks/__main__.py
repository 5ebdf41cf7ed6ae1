"""Measure pyasynq and its peers, and print one table.

``make bench`` runs this; ``make bench ARGS="--quick"`` gives it options.
"""

import argparse
import asyncio
import os
import resource
import time
from collections.abc import Iterator
from typing import TypeAlias

from benchmarks import results, table
from benchmarks.fleet import Cost, evaluate_fleets, format_costs, measure_fleets
from benchmarks.goals import evaluate_goals
from benchmarks.installed import NotInstalledError, Run, prepare
from benchmarks.measure import SLOTS_OF_LONG_RUN, Drain, Enqueue, LongRun, Measurement, Pair, Pickup
from benchmarks.programs import ProgramError
from benchmarks.roster import ALL_SLOTS, IN_TURN, PYASYNQ, select
from benchmarks.sheet import Sheet
from benchmarks.workflows import Ratio, evaluate_workflows, format_ratios, measure_workflows

Step: TypeAlias = tuple[Run, Measurement]

FILES_OPEN = 8_192
QUICK = 0.1


def main() -> None:
    """Run the benchmark that the command line describes."""
    options = _parse_options()
    _allow_many_connections()
    began = time.monotonic()
    runs, sheet = asyncio.run(_measure(options))
    fleets = asyncio.run(_measure_fleets(options))
    ratios = asyncio.run(_measure_workflows(options))
    reached = [
        *evaluate_goals(sheet, os.cpu_count() or 1),
        *evaluate_fleets(fleets),
        *evaluate_workflows(ratios),
    ]
    machine = results.describe_machine(_describe_conditions(options), time.monotonic() - began)
    report = table.format_report(runs, sheet, reached, machine)
    if fleets:
        report += f"\n{format_costs(fleets)}\n\n{format_ratios(ratios)}\n"
    print(report)
    versions = {run.peer.name: run.version for run in runs}
    results.write("latest", report, {"versions": versions, **results.to_data(sheet, reached)})


async def _measure(options: argparse.Namespace) -> tuple[list[Run], Sheet]:
    sheet = Sheet()
    runs = await _prepare_runs(options, sheet)
    for run, measurement in _plan(runs, options):
        results.log_progress(f"{run.peer.name}: {measurement}")
        try:
            await measurement(run, sheet)
        except ProgramError as error:
            sheet.notes.append(f"{run.peer.name}, {measurement}: {error}")
            results.log_progress(sheet.notes[-1])
    return runs, sheet


async def _measure_fleets(options: argparse.Namespace) -> list[Cost]:
    """Return what idle servers of pyasynq cost, unless only other contenders are measured."""
    if PYASYNQ not in select(options.only):
        return []
    return await (measure_fleets((1, 3), (1, 20)) if options.quick else measure_fleets())


async def _measure_workflows(options: argparse.Namespace) -> list[Ratio]:
    """Return what batches and flows cost, unless only other contenders are measured."""
    if PYASYNQ not in select(options.only):
        return []
    return await (measure_workflows(2_000, 1) if options.quick else measure_workflows())


async def _prepare_runs(options: argparse.Namespace, sheet: Sheet) -> list[Run]:
    """Return how to run the selected contenders; note those that are not installed."""
    runs: list[Run] = []
    for contender in select(options.only):
        small = contender.scaled(QUICK) if options.quick else contender
        try:
            runs.append(await prepare(small, uvloop=options.uvloop))
        except NotInstalledError as error:
            sheet.notes.append(f"{contender.name} is skipped: {error}")
            results.log_progress(sheet.notes[-1])
    return runs


def _plan(runs: list[Run], options: argparse.Namespace) -> Iterator[Step]:
    """Yield each contender with a measurement, in order."""
    rivals = [run for run in runs if run.peer.name in {one.name for one in IN_TURN}]
    yield from _alternate(rivals, options.rounds)
    for run in runs:
        if run.peer.name == PYASYNQ.name:
            for _ in range(options.rounds):
                yield run, Drain(SLOTS_OF_LONG_RUN)
                yield run, Pair()
                yield run, Pickup()
            yield run, LongRun(large=100_000 if options.quick else 1_000_000, small=10_000)
            continue
        if run not in rivals:
            yield from _alternate([run], 1)
        yield run, Pickup()


def _alternate(rivals: list[Run], rounds: int) -> Iterator[Step]:
    """Yield each measurement for one rival right after the same one for the others."""
    for _ in range(rounds):
        for how in ("one", "flight", "many"):
            yield from ((run, Enqueue(how)) for run in rivals)
        for slots in ALL_SLOTS:
            yield from ((run, Drain(slots)) for run in rivals if slots in run.peer.slots)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the tasks, one round")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORD",
        help="only those with this word in their name, like sqlite; can be repeated",
    )
    parser.add_argument(
        "--rounds", type=int, help="rounds of pyasynq and its rivals in turn (3; quick: 1)"
    )
    parser.add_argument("--uvloop", action="store_true", help="use uvloop for peers on asyncio")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def _describe_conditions(options: argparse.Namespace) -> str:
    flags = (
        f"{options.rounds} round(s) of those on SQLite, pyasynq and Go in turn, one of the others"
    )
    return flags + ", quick" * options.quick + ", uvloop" * options.uvloop


def _allow_many_connections() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES_OPEN, hard), hard))


if __name__ == "__main__":
    main()
