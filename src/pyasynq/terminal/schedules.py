"""What runs when? The entries of schedulers, and what they have enqueued."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType

from pyasynq.core.info import SchedulerEntry, SchedulerEvent
from pyasynq.core.json_form import given_options, to_json_types
from pyasynq.operations.payloads import preview
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.page import Page
from pyasynq.terminal.requests import Request
from pyasynq.terminal.table import Column, Table

LAST_RUNS: Final = 10
"""Tasks that are shown of an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An entry, and the number of schedulers that have it."""

    entry: SchedulerEntry
    schedulers: int


def rows_of(entries: Sequence[SchedulerEntry]) -> list[Row]:
    """Return each entry once, the next to be enqueued first."""
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.id] = counts.get(entry.id, 0) + 1
    unique = {entry.id: entry for entry in entries}.values()
    latest = datetime.max.replace(tzinfo=UTC)
    ordered = sorted(unique, key=lambda it: (it.next or latest, it.spec, it.id))
    return [Row(entry=it, schedulers=counts[it.id]) for it in ordered]


def _next(row: Row) -> Text:
    if row.entry.paused:
        return Text("paused", "bold yellow")
    return Text(texts.ago(row.entry.next, datetime.now(UTC)))


def _options(row: Row) -> str:
    options = given_options(row.entry)
    return " ".join(f"{name}={to_json_types(value)}" for name, value in options.items())


def _payload(row: Row) -> str:
    return preview(row.entry.task.payload or b"") or ""


COLUMNS: Final[Sequence[Column[Row]]] = (
    Column(title="When", cell=lambda it: it.entry.spec, value=lambda it: it.entry.spec),
    Column(title="Type", cell=lambda it: it.entry.task.type, value=lambda it: it.entry.task.type),
    Column(title="Next", cell=_next, value=lambda it: it.entry.next, right=True),
    Column(
        title="Last",
        cell=lambda it: texts.ago(it.entry.prev, datetime.now(UTC)),
        value=lambda it: it.entry.prev,
        right=True,
    ),
    Column(title="Schedulers", cell=lambda it: str(it.schedulers), right=True, from_width=110),
    Column(title="Options", cell=_options, from_width=110),
    Column(title="Payload", cell=_payload, fills=True),
)


class SchedulesPage(Page):
    """All entries."""

    TAB: ClassVar[str] = "s"
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("r", "run", "run now"),
        shortcut("p", "pause", "pause/resume"),
    ]

    def __init__(self, desk: Desk) -> None:
        """Show what *desk* reads."""
        super().__init__(desk)
        empty = "No scheduler has reported itself: pyasynq scheduler module:app"
        self.table: Table[Row] = Table(COLUMNS, lambda it: it.entry.id, id="entries", empty=empty)

    def body(self) -> ComposeResult:
        """Make the table, and what is below it."""
        yield self.table
        yield self.part("events")

    def on_mount(self) -> None:
        """Begin with the table."""
        self.table.focus()

    async def load(self) -> None:
        """Read the entries, and the last runs of the one with the cursor."""
        inspector = self.desk.services.inspector
        self.table.show(rows_of(await inspector.scheduler_entries()))
        row = self.table.current
        events: Sequence[SchedulerEvent] = ()
        if row is not None:
            events = await inspector.scheduler_events(row.entry.id, size=LAST_RUNS)
        self.put("events", _describe(row, events))

    def on_data_table_row_highlighted(self) -> None:
        """Read the last runs of another entry."""
        self.read_soon()

    # -- keys --------------------------------------------------------------------------------------

    def action_run(self) -> None:
        """Enqueue the task of the entry with the cursor."""
        if (row := self.table.current) is not None:
            more = "Its ticks stay as they are."
            self._request(row.entry, "run", "enqueued: {}", more)

    def action_pause(self) -> None:
        """Pause the entry with the cursor, or resume it."""
        if (row := self.table.current) is None:
            return
        if row.entry.paused:
            self._request(
                row.entry, "resume", "{} is resumed", "It is enqueued from its next tick on."
            )
        else:
            more = "Its ticks are left out until it is resumed."
            self._request(row.entry, "pause", "{} is paused", more)

    def _request(self, entry: SchedulerEntry, verb: str, done: str, more: str) -> None:
        inspector = self.desk.services.inspector
        calls: dict[str, Callable[[str], Awaitable[object]]] = {
            "run": inspector.run_entry,
            "pause": inspector.pause_entry,
            "resume": inspector.resume_entry,
        }
        name = f"{entry.task.type} at {entry.spec}"
        self.request(
            Request(
                action=f"entry.{verb}",
                items=[entry.id],
                call=calls[verb],
                name=str,
                question=f"{verb.capitalize()} {name}{' now' if verb == 'run' else ''}?",
                more=more,
                done=done.replace("{}", name),
            )
        )


def _describe(row: Row | None, events: Sequence[SchedulerEvent]) -> Text:
    """Return what an entry has enqueued, the newest first."""
    if row is None:
        return Text()
    text = Text("Last runs", "bold").append(f"  entry {texts.safe(row.entry.id)}", "not bold dim")
    now = datetime.now(UTC)
    for event in events:
        text.append(f"\n{texts.instant(event.enqueued_at)}  ", "not bold dim")
        text.append(f"{texts.ago(event.enqueued_at, now):>10}  ", "not bold dim")
        text.append(texts.safe(event.task_id), "not bold")
    if not events:
        text.append("\nnone is known", "not bold dim")
    return text
