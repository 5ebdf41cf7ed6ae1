"""Is everything all right? Alerts, figures, and all queues."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, TypeAlias

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from pyasynq.core.errors import QueueActiveError
from pyasynq.operations.permissions import Permission
from pyasynq.operations.suggestions import quote
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.dialogs import Choice, Prompt, Question
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.page import Page
from pyasynq.terminal.requests import Request
from pyasynq.terminal.table import Column, Table
from pyasynq.terminal.tasks import TasksPage

Queue: TypeAlias = Mapping[str, Any]
"""A queue as the sampler returns it."""

MOST_ALERTS: Final = 5
LEVELS: Final = {"problem": ("✕", "bold red"), "warning": ("!", "bold yellow")}
BARS: Final = 12
MANY_BARS: Final = 30
WIDE: Final = 120

STATES: Final = {
    "p": "pending",
    "g": "aggregating",
    "s": "scheduled",
    "r": "retry",
    "a": "archived",
    "c": "completed",
}
"""States whose tasks can be deleted, by the key that chooses them."""

ALL_STATES: Final = "x"
"""Key that chooses all of them."""

ABOUT_QUEUE: Final = "It disappears with its counters, groups and locks"
FINAL: Final = "This cannot be undone."


def _number(title: str, name: str, from_width: int = 0) -> Column[Queue]:
    return Column(
        title=title,
        cell=lambda row: texts.count(row[name]),
        value=lambda row: row[name],
        right=True,
        from_width=from_width,
    )


def _rate(title: str, name: str, from_width: int = 0) -> Column[Queue]:
    return Column(
        title=title,
        cell=lambda row: texts.rate(row[name]),
        value=lambda row: row[name],
        right=True,
        from_width=from_width,
    )


def _name(row: Queue) -> Text:
    text = Text(texts.safe(row["queue"]))
    return text.append(" paused", "bold yellow") if row["paused"] else text


def _workers(row: Queue) -> Text:
    return Text(str(row["servers"])) if row["servers"] else Text("none", "bold red")


COLUMNS: Final[Sequence[Column[Queue]]] = (
    Column(title="Queue", cell=_name, value=lambda row: row["queue"], fills=True),
    _number("Pend", "pending"),
    _number("Act", "active"),
    _number("Sched", "scheduled"),
    _number("Retry", "retry"),
    _number("Arch", "archived"),
    _number("Done", "completed", 110),
    _number("Group", "aggregating", 110),
    Column(
        title="Wait",
        cell=lambda row: texts.wait(row["latency"]),
        value=lambda row: row["latency"],
        right=True,
    ),
    _rate("In/s", "in_per_s", 100),
    _rate("Out/s", "out_per_s"),
    _rate("Fail/m", "failed_per_min"),
    Column(
        title="Workers",
        cell=_workers,
        value=lambda row: row["servers"],
        right=True,
        from_width=90,
    ),
    Column(
        title="Last hour",
        cell=lambda row: texts.sparkline(row["hour"], BARS),
        below_width=WIDE,
    ),
    Column(
        title="Last hour",
        cell=lambda row: texts.sparkline(row["hour"], MANY_BARS),
        from_width=WIDE,
    ),
)


class OverviewPage(Page):
    """All queues, with what is wrong."""

    TAB: ClassVar[str] = "o"
    COST: ClassVar[int] = 1  # it reads little, and rates need readings of the last seconds
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("enter", "open", "open", show=False),
        shortcut("p", "pause", "pause/resume"),
        shortcut("R", "run_failed", "run failed"),
        shortcut("d", "purge", "purge"),
        shortcut("D", "delete", "delete"),
        shortcut("f", "filter", "find queue", show=False),
    ]

    def __init__(self, desk: Desk) -> None:
        """Show what *desk* reads."""
        super().__init__(desk)
        self._queues: Sequence[Queue] = ()
        empty = "No queue has had a task yet."
        self.table: Table[Queue] = Table(
            COLUMNS, lambda row: row["queue"], id="queues", empty=empty
        )
        self.field: Input = Input(id="filter", placeholder="part of a queue's name", compact=True)

    def body(self) -> ComposeResult:
        """Make alerts, figures and the table."""
        yield self.part("alerts")
        yield self.part("figures")
        yield self.field
        yield self.table

    def on_mount(self) -> None:
        """Begin with the cursor in the table."""
        self.field.display = False
        self.table.focus()

    async def load(self) -> None:
        """Read the overview."""
        found = await self.desk.services.sampler.document()
        self._queues = found["queues"]
        self.put("alerts", _alerts(found["alerts"]))
        self.put("figures", _figures(found["totals"]))
        self._show_queues()

    def _show_queues(self) -> None:
        part = self.field.value.lower()
        self.table.show([row for row in self._queues if part in row["queue"].lower()])

    # -- keys --------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Open the tasks of the queue with the cursor."""
        if (row := self.table.current) is not None:
            self.app.push_screen(TasksPage(self.desk, f"queue:{quote(row['queue'])}"))

    def action_pause(self) -> None:
        """Pause the queue with the cursor, or resume it."""
        if (row := self.table.current) is None:
            return
        queue, inspector = row["queue"], self.desk.services.inspector
        pauses = not row["paused"]
        more = "Workers take none of its tasks until it is resumed; running ones go on."
        self.request(
            Request(
                action="queue.pause" if pauses else "queue.resume",
                items=[queue],
                call=inspector.pause if pauses else inspector.unpause,
                name=str,
                question=f"{'Pause' if pauses else 'Resume'} queue {queue}?",
                more=more if pauses else "Workers take its tasks again.",
                done="{} is paused" if pauses else "{} is resumed",
            )
        )

    def action_run_failed(self) -> None:
        """Run all failed tasks of the queue with the cursor."""
        if (row := self.table.current) is not None:
            line = f"queue:{quote(row['queue'])} state:retry,archived"
            self.change_matching(Permission.TASK_RUN, line)

    def action_purge(self) -> None:
        """Ask which tasks of the queue with the cursor are to be deleted, and delete them."""
        row = self.table.current
        if row is None or not self.may_change():
            return
        queue, kept = row["queue"], {key: it for key, it in STATES.items() if row[it]}
        if not kept:
            self.say(f"nothing to do: queue {queue} has no task that can be deleted", is_bad=True)
            return
        choices = {key: f"{row[state]:,} {state}" for key, state in kept.items()}
        choices[ALL_STATES] = f"all {row['size'] - row['active']:,}"

        def answer(key: str | None) -> None:
            if key is not None:
                states = f"state:{kept[key]}" if key in kept else "-state:active"
                line = f"queue:{quote(queue)} {states}"
                self.change_matching(Permission.TASK_DELETE, line)

        self.app.push_screen(Choice(f"Delete which tasks of queue {queue}?", choices), answer)

    def action_delete(self) -> None:
        """Delete the queue with the cursor; if it has tasks, after its name was typed."""
        row = self.table.current
        if row is None or not self.may_change():
            return
        queue, size = row["queue"], row["size"]
        if row["active"]:
            self.say(str(QueueActiveError(queue)), is_bad=True)
            return
        question = f"Delete queue {queue}?"

        def answer(given: str | bool | None) -> None:  # noqa: FBT001 - called by textual
            if given in {True, texts.safe(queue).strip()}:
                self.app.run_worker(self._delete(queue, size))
            elif given:
                self.say("that is not its name: nothing was deleted", is_bad=True)

        if size:
            more = f"{ABOUT_QUEUE}, and with its {texts.tasks(size)}. {FINAL}\nType its name:"
            self.app.push_screen(Prompt(question, more=more), answer)
        else:
            self.app.push_screen(Question(question, f"{ABOUT_QUEUE}. {FINAL}"), answer)

    async def _delete(self, queue: str, size: int) -> None:
        job = await self.follow(self.desk.delete_queue(queue, size))
        if job is not None and job.status == "done":
            self.say(f"queue {queue} is deleted")

    def action_filter(self) -> None:
        """Look for a queue by its name."""
        self.field.display = True
        self.field.focus()

    def on_input_changed(self) -> None:
        """Show the queues whose name contains the text."""
        self._show_queues()

    def on_input_submitted(self) -> None:
        """Return to the table."""
        self.table.focus()

    def action_back(self) -> None:
        """Show all queues again."""
        self.field.value, self.field.display = "", False
        self.table.focus()


def _alerts(alerts: Sequence[Any]) -> Text:
    """Return the first alerts, problems before warnings, one in each line."""
    text = Text(no_wrap=True, overflow="ellipsis")
    ordered = sorted(alerts, key=lambda it: it.level != "problem")
    for alert in ordered[:MOST_ALERTS]:
        glyph, style = LEVELS.get(alert.level, ("!", "bold"))
        text.append(f"{glyph} {texts.safe(alert.subject)}: ", style)
        text.append(texts.safe(alert.message))
        if alert.advice:
            text.append(f" → {texts.safe(alert.advice)}", "dim")
        text.append("\n")
    if more := len(ordered) - MOST_ALERTS:
        text.append(f"  and {more} more: pyasynq doctor\n" if more > 0 else "", "dim")
    text.right_crop(1)
    return text


def _figures(totals: Mapping[str, Any]) -> Text:
    """Return the totals of all queues in two lines."""
    later = totals["scheduled"] + totals["retry"]
    lines = (
        (
            (texts.count(totals["pending"]), "waiting"),
            (texts.count(totals["active"]), "running"),
            (texts.count(later), "wait for their time"),
            (texts.count(totals["archived"]), "archived"),
        ),
        (
            (texts.rate(totals["in_per_s"]), "in/s"),
            (texts.rate(totals["out_per_s"]), "out/s"),
            (texts.rate(totals["failed_per_min"]), "failed/min"),
            (f"{totals['busy']}/{totals['slots']}", "slots busy"),
            (str(totals["servers"]), "worker" if totals["servers"] == 1 else "workers"),
        ),
    )
    text = Text()
    for facts in lines:
        for value, name in facts:
            text.append(f" {value}", "bold").append(f" {name}  ")
        text.append("\n")
    text.right_crop(1)
    return text
