"""Which tasks? A search line, what it finds, and actions on selected tasks or on all that match."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.suggester import Suggester
from textual.widgets import Input

from pyasynq.core.errors import PyasynqError
from pyasynq.core.info import TaskInfo
from pyasynq.core.states import FAILED, TaskState
from pyasynq.operations.finder import Found, Position
from pyasynq.operations.known import read_known
from pyasynq.operations.payloads import preview
from pyasynq.operations.permissions import Permission
from pyasynq.operations.search import STATES, SearchError, parse
from pyasynq.operations.suggestions import suggest
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.page import Page
from pyasynq.terminal.requests import for_tasks, to_reschedule
from pyasynq.terminal.table import Column, Table
from pyasynq.terminal.task import TaskPage

PAGE: Final = 100
"""Tasks that are shown at first, and that ``m`` adds."""

EVERYTHING: Final = "state:*"
EXAMPLE: Final = 'type:email:* state:retry error:"timeout" older:5m'


def _when(task: TaskInfo) -> str:
    now = datetime.now(UTC)
    match task.state:
        case TaskState.SCHEDULED | TaskState.RETRY:
            return texts.ago(task.next_process_at, now)
        case TaskState.COMPLETED:
            return texts.ago(task.completed_at, now)
        case TaskState.ARCHIVED:
            return texts.ago(task.last_failed_at, now)
        case _:
            return ""


def _about(task: TaskInfo) -> Text:
    """Return the error of a failed task, or the payload of any other."""
    if task.state in FAILED and task.last_error:
        return Text(texts.safe(task.last_error), "red")
    shown = preview(task.payload)
    return Text(texts.safe(f"{len(task.payload)} bytes" if shown is None else shown), "dim")


COLUMNS: Final[Sequence[Column[TaskInfo]]] = (
    Column(
        title="State",
        cell=lambda task: texts.state(task.state.value),
        value=lambda task: STATES.index(task.state),
    ),
    Column(title="Type", cell=lambda task: task.type, value=lambda task: task.type),
    Column(
        title="Queue",
        cell=lambda task: task.queue,
        value=lambda task: task.queue,
        from_width=100,
    ),
    Column(title="Id", cell=lambda task: task.id, value=lambda task: task.id, from_width=140),
    Column(
        title="Tries",
        cell=lambda task: f"{task.retried}/{task.max_retry}",
        value=lambda task: task.retried,
        right=True,
    ),
    Column(title="When", cell=_when, right=True),
    Column(title="Error, or payload", cell=_about, fills=True),
)


class LineSuggester(Suggester):
    """Completes the term at the end of a search line."""

    def __init__(self, desk: Desk) -> None:
        """Know what *desk* reads."""
        super().__init__(use_cache=False, case_sensitive=True)
        self._desk = desk

    async def get_suggestion(self, value: str) -> str | None:
        """Return *value* with its last term completed; None if there is nothing to add."""
        try:
            found = suggest(value, len(value), await read_known(self._desk.services, value))
        except PyasynqError:  # the page says that the broker does not answer
            return None
        lines = (f"{value[: found.start]}{item.text}" for item in found.items)
        return next((it for it in lines if it.startswith(value) and it != value), None)


class TasksPage(Page):
    """Tasks that match a search line."""

    TAB: ClassVar[str] = "t"
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("enter", "open", "open", show=False),
        shortcut("x", "select", "select"),
        shortcut("X", "select_range", "select a range", show=False),
        shortcut("r", "act('run')", "run"),
        shortcut("a", "act('archive')", "archive"),
        shortcut("t", "reschedule", "reschedule"),
        shortcut("y", "act('duplicate')", "duplicate"),
        shortcut("c", "act('cancel')", "cancel"),
        shortcut("d", "act('delete')", "delete"),
        shortcut("R", "act_on_all('run')", "run all that match", show=False),
        shortcut("A", "act_on_all('archive')", "archive all that match", show=False),
        shortcut("T", "reschedule_all", "reschedule all that match", show=False),
        shortcut("C", "act_on_all('cancel')", "cancel all that match", show=False),
        shortcut("D", "act_on_all('delete')", "delete all that match", show=False),
        shortcut("h,left", "state(-1)", "previous state", show=False),
        shortcut("l,right", "state(1)", "next state", show=False),
        shortcut("m", "more", "more"),
    ]

    def __init__(self, desk: Desk, line: str = "", *, types: bool = False) -> None:
        """Show the tasks that match *line*; *types* lets the user begin with typing one."""
        super().__init__(desk)
        self._line = line
        self._begins_with_line = types
        self._rounds = 1
        self.table: Table[TaskInfo] = Table(
            COLUMNS, lambda task: (task.queue, task.id), id="tasks", empty="No task matches."
        )
        self.field: Input = Input(
            line, id="line", placeholder=EXAMPLE, suggester=LineSuggester(desk), compact=True
        )

    def body(self) -> ComposeResult:
        """Make the line, the summary and the table."""
        yield self.field
        yield self.part("summary")
        yield self.table

    def on_mount(self) -> None:
        """Begin with the table, or with the line."""
        (self.field if self._begins_with_line else self.table).focus()

    # -- searching ---------------------------------------------------------------------------------

    async def load(self) -> None:
        """Search as far as was asked for."""
        line = self._line
        try:
            query = parse(line)
        except SearchError as error:
            self.put("summary", Text(texts.safe(str(error)), "bold red"))
            self.table.show([])
            return
        found: list[Found] = []
        position: Position | None = None
        for _ in range(self._rounds):
            finder = self.desk.services.finder
            found.append(await finder.find(query, limit=PAGE, position=position))
            position = found[-1].position
            if position is None:
                break
        if line == self._line:
            self.put("summary", _summary(found))
            self.table.show([task for one in found for task in one.tasks])

    def search(self, line: str) -> None:
        """Search for *line* from the beginning."""
        self._line, self._rounds = line.strip(), 1
        self.field.value = self._line
        self.read_soon()

    def on_input_submitted(self) -> None:
        """Search for what was typed."""
        self.search(self.field.value)
        self.table.focus()

    def action_more(self) -> None:
        """Look further."""
        self._rounds += 1
        self.read_soon()

    def action_state(self, step: int) -> None:
        """Look for tasks in the next state."""
        self.search(with_next_state(self._line, step))

    def action_back(self) -> None:
        """Leave the line, clear the selection, or leave the page."""
        if self.field.has_focus:
            self.field.value = self._line
            self.table.focus()
        elif not self.table.clear_selection():
            super().action_back()

    # -- acting ------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Open the task with the cursor."""
        if (task := self.table.current) is not None:
            self.app.push_screen(TaskPage(self.desk, task.queue, task.id))

    def action_select(self) -> None:
        """Select the task with the cursor, or undo that."""
        self.table.toggle()

    def action_select_range(self) -> None:
        """Select all tasks from the last selected one on."""
        self.table.select_range()

    def action_act(self, verb: str) -> None:
        """Do something to the selected tasks, or to the one with the cursor."""
        if chosen := self.table.chosen:
            self.request(for_tasks(self.desk.services, verb, chosen))

    def action_reschedule(self) -> None:
        """Make the selected tasks, or the one with the cursor, due at another time."""
        if chosen := self.table.chosen:
            self.ask_time(
                f"Reschedule {texts.tasks(len(chosen))}",
                lambda at: self.request(to_reschedule(self.desk.services, chosen, at)),
            )

    def action_act_on_all(self, verb: str) -> None:
        """Do something to all tasks that match."""
        self.change_matching(Permission(f"task.{verb}"), self._line or EVERYTHING)

    def action_reschedule_all(self) -> None:
        """Make all tasks that match due at another time."""
        line = self._line or EVERYTHING
        self.ask_time(
            f"Reschedule all tasks that match {line}",
            lambda at: self.change_matching(Permission.TASK_RESCHEDULE, line, at),
        )


def with_next_state(line: str, step: int) -> str:
    """Return *line* with the state before or after its own in place of that, or with all."""
    names = ["", *(state.value for state in STATES)]
    parts = line.split()
    own = next((it for it in parts if it.startswith("state:")), "")
    at = names.index(own.removeprefix("state:")) if own.removeprefix("state:") in names else 0
    name = names[(at + step) % len(names)]
    kept = [it for it in parts if it != own]
    return " ".join([*kept, f"state:{name}"] if name else kept)


def _summary(found: Sequence[Found]) -> Text:
    """Return how many tasks were found, and where."""
    shown = sum(len(one.tasks) for one in found)
    looked_at, total = sum(one.looked_at for one in found), found[-1].total
    is_all = found[-1].position is None
    text = f"{texts.tasks(shown)} {texts.match(shown)}"
    text += f"{'' if is_all else ' so far'}; looked at {looked_at:,} of {total:,}"
    if not is_all:
        text += "   m looks further"
    return Text(text, "dim")
