"""Measure the member service, and print one table.

``make bench-member`` runs this; ``make bench-member ARGS="--quick"`` gives it options.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator

from benchmarks import results
from benchmarks.goals import Goal
from benchmarks.member.goals import COSTS, DATABASES, evaluate_goals
from benchmarks.member.measure import IN_FLIGHT, Comparison
from benchmarks.member.servers import DISTRIBUTORS, start_servers
from benchmarks.sheet import Sheet
from benchmarks.table import format_goal, format_number, format_table

HEAD = (
    "database, tasks into",
    *(f"{cost} hash: {what}" for cost in COSTS for what in ("members/s", "p50 ms", "p99 ms")),
    "mail after due ms: p50",
    "p99",
)

METHOD = f"""\
The real program with a Redis without persistence, a PostgreSQL that waits for the disk at each
commit or an SQLite file, and a mail server; all on this machine. One client calls CreateMember,
with {IN_FLIGHT["test"]} calls in flight (test hash) or {IN_FLIGHT["default"]} (default hash).

- **tasks into** *redis*: queued in Redis inside the transaction. *outbox*: written with the member,
  and moved to Redis by the relay in the same program. Both run in turn, while no mail is due; the
  numbers are medians of the turns.
- **default hash**: argon2id with the default settings. **test hash**: the cheapest settings; they
  show the cost of everything else.
- **mail after due**: members sign up one at a time, a second before their mails are due. A mail is
  due at a whole second."""


def main() -> None:
    """Run the benchmark that the command line describes."""
    options = _parse_options()
    began = time.monotonic()
    sheet = asyncio.run(_measure(options))
    reached = list(evaluate_goals(sheet))
    conditions = f"{options.rounds} round(s){', quick' * options.quick}"
    report = _format_report(
        sheet, reached, results.describe_machine(conditions, time.monotonic() - began)
    )
    print(report)
    results.write("member", report, results.to_data(sheet, reached))


async def _measure(options: argparse.Namespace) -> Sheet:
    sheet, size = Sheet(), 0.2 if options.quick else 1
    async with start_servers() as servers:
        for database in DATABASES:
            comparison = Comparison(servers, sheet, database)
            results.log_progress(f"{database}, test hash")
            await comparison.measure_rates("test", turns=options.rounds, sign_ups=int(800 * size))
            results.log_progress(f"{database}, default hash")
            await comparison.measure_rates(
                "default", turns=options.rounds // 2, sign_ups=int(60 * size)
            )
            results.log_progress(f"{database}, mails")
            await comparison.measure_mails(sign_ups=int(200 * size))
    return sheet


def _format_report(sheet: Sheet, reached: list[Goal], machine: str) -> str:
    rows = [f"{database}, {name}" for database in DATABASES for name in DISTRIBUTORS]
    parts = [
        "\n".join(format_table(HEAD, (_format_row(row, sheet) for row in rows))),
        "\n".join(format_table(("goal", "wanted", "measured", ""), map(format_goal, reached))),
        METHOD,
        machine,
    ]
    return "\n\n".join(parts) + "\n"


def _format_row(name: str, sheet: Sheet) -> Iterator[str]:
    yield name
    for cost in COSTS:
        for metric, decimals in (("rate", 0), ("p50", 1), ("p99", 1)):
            yield format_number(sheet.median(name, f"{cost}.{metric}"), decimals)
    for metric in ("mail.p50", "mail.p99"):
        yield format_number(sheet.median(name, metric))


def _parse_options() -> argparse.Namespace:
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
