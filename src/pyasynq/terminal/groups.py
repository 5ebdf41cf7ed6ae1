"""What waits to be combined? The groups of all queues, and how many tasks wait in each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType

from pyasynq.core.errors import QueueNotFoundError
from pyasynq.core.info import GroupInfo
from pyasynq.operations.concurrency import gather
from pyasynq.operations.permissions import Permission
from pyasynq.operations.suggestions import quote
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.page import Page
from pyasynq.terminal.table import Column, Table
from pyasynq.terminal.tasks import TasksPage


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A group of a queue."""

    queue: str
    group: GroupInfo

    @property
    def line(self) -> str:
        """The search line that finds its tasks."""
        return f"queue:{quote(self.queue)} state:aggregating group:{quote(self.group.group)}"


COLUMNS: Final[Sequence[Column[Row]]] = (
    Column(
        title="Waiting",
        cell=lambda it: texts.count(it.group.size),
        value=lambda it: it.group.size,
        right=True,
    ),
    Column(title="Queue", cell=lambda it: it.queue, value=lambda it: it.queue),
    Column(
        title="Group", cell=lambda it: it.group.group, value=lambda it: it.group.group, fills=True
    ),
)


class GroupsPage(Page):
    """All groups with tasks."""

    TAB: ClassVar[str] = "p"
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("enter", "open", "open", show=False),
        shortcut("r", "act('run')", "run all"),
        shortcut("a", "act('archive')", "archive all"),
        shortcut("d", "act('delete')", "delete all"),
    ]

    def __init__(self, desk: Desk) -> None:
        """Show what *desk* reads."""
        super().__init__(desk)
        self.table: Table[Row] = Table(
            COLUMNS,
            lambda it: (it.queue, it.group.group),
            id="groups",
            empty="No task waits in a group until a worker combines it.",
        )

    def body(self) -> ComposeResult:
        """Make the table."""
        yield self.table

    def on_mount(self) -> None:
        """Begin with the table."""
        self.table.focus()

    async def load(self) -> None:
        """Read the groups of the queues that have some."""
        services = self.desk.services
        rows = await services.sampler.queue_rows()
        queues = [queue for queue, row in rows.items() if row["groups"]]
        found = await gather(queues, self._groups)
        self.table.show([row for of_queue in found for row in of_queue])

    async def _groups(self, queue: str) -> list[Row]:
        try:
            groups = await self.desk.services.inspector.groups(queue)
        except QueueNotFoundError:  # it was removed meanwhile
            return []
        return [Row(queue=queue, group=it) for it in groups]

    # -- keys --------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Open the tasks of the group with the cursor."""
        if (row := self.table.current) is not None:
            self.app.push_screen(TasksPage(self.desk, row.line))

    def action_act(self, verb: str) -> None:
        """Do something to all tasks of the group with the cursor."""
        if (row := self.table.current) is not None:
            self.change_matching(Permission(f"task.{verb}"), row.line)
