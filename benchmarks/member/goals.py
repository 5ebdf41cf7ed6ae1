"""The goals of the member service. They are no tests."""

from collections.abc import Iterator

from benchmarks.goals import Goal
from benchmarks.member.servers import Cost
from benchmarks.sheet import Sheet

DATABASES = ("PostgreSQL", "SQLite")
COSTS: tuple[Cost, ...] = ("test", "default")


def evaluate_goals(sheet: Sheet) -> Iterator[Goal]:
    """Yield the goals with their measurements from *sheet*."""
    for database in DATABASES:
        for cost in COSTS:
            direct = sheet.median(f"{database}, redis", f"{cost}.rate")
            outbox = sheet.median(f"{database}, outbox", f"{cost}.rate")
            yield Goal(
                text=f"time for a sign-up, outbox relative to redis ({database}, {cost} hash)",
                value=direct / outbox if direct and outbox else None,
                bound=1.25,
                is_floor=False,
            )
