"""What is slow or failing? Types of tasks by their runs, and failures by their error."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, TypeAlias

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType

from pyasynq.core.run_stats import BUCKETS, RUN_LIMITS, TypeStats
from pyasynq.inspector import ErrorGroup
from pyasynq.operations.failures import FailureCount
from pyasynq.operations.suggestions import quote
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.page import Page
from pyasynq.terminal.table import Column, Table
from pyasynq.terminal.tasks import TasksPage

Failure: TypeAlias = tuple[str, ErrorGroup]
"""A kind of failure, with its queue."""

RANGES: Final = (timedelta(hours=1), timedelta(hours=8), timedelta(days=3))
MOST_OF_ERROR: Final = 80
"""Characters of an error that are searched for."""


def _time(title: str, name: str, from_width: int = 0) -> Column[TypeStats]:
    return Column(
        title=title,
        cell=lambda row: texts.span(getattr(row, name)),
        value=lambda row: getattr(row, name),
        right=True,
        from_width=from_width,
    )


def _runs(row: TypeStats) -> int:
    return row.succeeded + row.failed


def _key_of_failure(failure: Failure) -> tuple[str, str, str]:
    queue, group = failure
    return queue, group.type, group.error


TYPES: Final[Sequence[Column[TypeStats]]] = (
    Column(title="Type", cell=lambda row: row.type, value=lambda row: row.type, fills=True),
    Column(title="Runs", cell=lambda row: texts.count(_runs(row)), value=_runs, right=True),
    Column(
        title="Failed",
        cell=lambda row: texts.share(row.failed, _runs(row)),
        value=lambda row: row.failed / _runs(row) if _runs(row) else None,
        right=True,
    ),
    Column(
        title="Arch",
        cell=lambda row: texts.count(row.archived),
        value=lambda row: row.archived,
        right=True,
    ),
    _time("Run p50", "run_p50"),
    _time("p95", "run_p95"),
    _time("p99", "run_p99", 90),
    Column(
        title=f"{texts.span(RUN_LIMITS[0])} … {texts.span(RUN_LIMITS[-1])}",
        cell=lambda row: texts.sparkline(row.run_histogram, BUCKETS),
        from_width=140,
    ),
    _time("Wait p50", "wait_p50", 100),
    _time("p95", "wait_p95", 100),
    _time("p99", "wait_p99", 110),
)
ERRORS: Final[Sequence[Column[Failure]]] = (
    Column(
        title="Count",
        cell=lambda it: texts.count(it[1].count),
        value=lambda it: it[1].count,
        right=True,
    ),
    Column(title="Type", cell=lambda it: it[1].type, value=lambda it: it[1].type),
    Column(title="Queue", cell=lambda it: it[0], value=lambda it: it[0], from_width=100),
    Column(
        title="Last",
        cell=lambda it: texts.ago(it[1].last_failed_at, datetime.now(UTC)),
        value=lambda it: it[1].last_failed_at,
        right=True,
    ),
    Column(title="Error", cell=lambda it: it[1].error or "(no text)", fills=True),
)


class TypesPage(Page):
    """All types that ran lately, and all failures."""

    TAB: ClassVar[str] = "y"
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("enter", "open", "open", show=False),
        shortcut("tab", "app.focus_next", "other table"),
        shortcut("f", "failed", "its failed tasks"),
        shortcut("t", "range", "1h/8h/3d"),
    ]

    def __init__(self, desk: Desk) -> None:
        """Begin with the last hour."""
        super().__init__(desk)
        self._last = RANGES[0]
        empty = "Nothing ran in this time. Workers of Go write no counts."
        self.types: Table[TypeStats] = Table(TYPES, lambda row: row.type, id="types", empty=empty)
        empty = "No task waits for another try, and none is archived."
        self.errors: Table[Failure] = Table(ERRORS, _key_of_failure, id="errors", empty=empty)

    def body(self) -> ComposeResult:
        """Make both tables."""
        yield self.part("range")
        yield self.types
        yield self.part("looked")
        yield self.errors

    def on_mount(self) -> None:
        """Begin with the types."""
        self.types.focus()

    async def load(self) -> None:
        """Read what ran and what failed."""
        services, last = self.desk.services, self._last
        stats = await services.inspector.type_stats(last=last)
        count = FailureCount(services.inspector, services.actions)
        await count.look_at_all()
        self.put("range", Text(f"Runs of the last {texts.span(last)}", "bold"))
        part = "" if count.is_complete else f"  looked at {count.looked_at:,} of {count.total:,}"
        title = Text("Failing: tasks in retry or archived", "bold").append(part, "not bold dim")
        self.put("looked", title)
        self.types.show(stats)
        self.errors.show(count.groups())

    # -- keys --------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Open the tasks of the type or failure with the cursor."""
        if self.errors.has_focus:
            self.action_failed()
        elif (row := self.types.current) is not None:
            self._open(f"type:{quote(row.type)}")

    def action_failed(self) -> None:
        """Open the failed tasks of the type or failure with the cursor."""
        if self.errors.has_focus and (found := self.errors.current) is not None:
            queue, group = found
            error = group.error.partition('"')[0][:MOST_OF_ERROR].strip()  # terms have no quotes
            line = f"queue:{quote(queue)} state:retry,archived type:{quote(group.type)}"
            self._open(f'{line} error:"{error}"' if error else line)
        elif (row := self.types.current) is not None:
            self._open(f"state:retry,archived type:{quote(row.type)}")

    def _open(self, line: str) -> None:
        self.app.push_screen(TasksPage(self.desk, line))

    def action_range(self) -> None:
        """Look back farther, or for an hour again."""
        self._last = RANGES[(RANGES.index(self._last) + 1) % len(RANGES)]
        self.read_soon()
