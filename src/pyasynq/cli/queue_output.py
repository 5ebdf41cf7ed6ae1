"""The tables about queues that several commands print."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pyasynq.cli import output
from pyasynq.cli.options import STATES

if TYPE_CHECKING:
    from pyasynq.core.info import QueueInfo


def sum_of(queues: "Sequence[QueueInfo]", name: str) -> int:
    """Return the sum of one count of all *queues*."""
    return sum(getattr(queue, name) for queue in queues)


def print_state_counts(queues: "Sequence[QueueInfo]") -> None:
    """Print how many tasks *queues* together have in each state."""
    counts = [sum_of(queues, state) for state in STATES]
    output.print_table(STATES, [counts], title="Task Count by State")


def print_daily_counts(queues: "Sequence[QueueInfo]", day: datetime) -> None:
    """Print how many tasks of *queues* ran on *day*, and how many failed."""
    processed, failed = sum_of(queues, "processed"), sum_of(queues, "failed")
    output.print_table(
        ["processed", "failed", "error rate"],
        [[processed, failed, output.format_error_rate(processed, failed)]],
        title=f"Daily Stats {day:%Y-%m-%d} UTC",
    )
