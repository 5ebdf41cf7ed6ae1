"""Measure the member service, and print one table.

``make bench-member`` runs this; ``make bench-member ARGS="--quick"`` gives it options.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator

from benchmarks import results
from benchmarks.goals import Goal
from benchmarks.member.arena import DISTRIBUTORS, arena
from benchmarks.member.goals import COSTS, DATABASES, goals
from benchmarks.member.measure import IN_FLIGHT, Comparison
from benchmarks.sheet import Sheet
from benchmarks.table import goal_row, grid, number

HEAD = (
    "database, tasks into",
    *(f"{cost} hash: {what}" for cost in COSTS for what in ("members/s", "p50 ms", "p99 ms")),
    "mail after due ms: p50",
    "p99",
)

METHOD = f"""\
The real program on a Redis without persistence, a PostgreSQL that waits for the disk at each commit
or an SQLite file, and a mail server; all on this machine. One client calls CreateMember, with
{IN_FLIGHT["test"]} calls in flight (test hash) or {IN_FLIGHT["default"]} (default hash).

- **tasks into** *redis*: queued in Redis inside the transaction. *outbox*: written with the member,
  and moved to Redis by the relay in the same program. Both take turns, while no mail is due;
  medians of the turns.
- **default hash**: argon2id as the service is delivered. **test hash**: the cheapest there is; it
  shows what all the rest costs.
- **mail after due**: members sign up one at a time, a second before their mails are due. A mail is
  due at a whole second."""


def main() -> None:
    """Do what the command line says."""
    options = _options()
    began = time.monotonic()
    sheet = asyncio.run(_measured(options))
    reached = list(goals(sheet))
    conditions = f"{options.rounds} round(s){', quick' * options.quick}"
    report = _report(sheet, reached, results.machine(conditions, time.monotonic() - began))
    print(report)
    results.write("member", report, results.data(sheet, reached))


async def _measured(options: argparse.Namespace) -> Sheet:
    sheet, size = Sheet(), 0.2 if options.quick else 1
    async with arena() as servers:
        for database in DATABASES:
            comparison = Comparison(servers, sheet, database)
            results.tell(f"{database}, test hash")
            await comparison.rates("test", turns=options.rounds, sign_ups=int(800 * size))
            results.tell(f"{database}, default hash")
            await comparison.rates("default", turns=options.rounds // 2, sign_ups=int(60 * size))
            results.tell(f"{database}, mails")
            await comparison.mails(sign_ups=int(200 * size))
    return sheet


def _report(sheet: Sheet, reached: list[Goal], machine: str) -> str:
    rows = [f"{database}, {name}" for database in DATABASES for name in DISTRIBUTORS]
    parts = [
        "\n".join(grid(HEAD, (_row(row, sheet) for row in rows))),
        "\n".join(grid(("goal", "wanted", "measured", ""), map(goal_row, reached))),
        METHOD,
        machine,
    ]
    return "\n\n".join(parts) + "\n"


def _row(name: str, sheet: Sheet) -> Iterator[str]:
    yield name
    for cost in COSTS:
        for metric, decimals in (("rate", 0), ("p50", 1), ("p99", 1)):
            yield number(sheet.median(name, f"{cost}.{metric}"), decimals)
    for metric in ("mail.p50", "mail.p99"):
        yield number(sheet.median(name, metric))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.member", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the members, four turns")
    parser.add_argument(
        "--rounds", type=int, help="turns of each distributor, at least 2 (8; quick: 4)"
    )
    options = parser.parse_args()
    options.rounds = options.rounds or (4 if options.quick else 8)
    return options


if __name__ == "__main__":
    main()
