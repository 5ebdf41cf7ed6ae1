"""What the member service wants to reach. Goals, not tests."""

from collections.abc import Iterator

from benchmarks.goals import Goal
from benchmarks.member.arena import Cost
from benchmarks.sheet import Sheet

DATABASES = ("PostgreSQL", "SQLite")
COSTS: tuple[Cost, ...] = ("test", "default")


def goals(sheet: Sheet) -> Iterator[Goal]:
    """Yield the goals with what *sheet* says about each."""
    for database in DATABASES:
        for cost in COSTS:
            direct = sheet.median(f"{database}, redis", f"{cost}.rate")
            outbox = sheet.median(f"{database}, outbox", f"{cost}.rate")
            yield Goal(
                text=f"time for a member with the outbox: directly ({database}, {cost} hash)",
                value=direct / outbox if direct and outbox else None,
                bound=1.25,
                is_floor=False,
            )
