"""Flows and batches: what runs, what has ended, and what can be done to a flow."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType

from pyasynq.core.batch import BatchInfo
from pyasynq.core.flow_info import FlowInfo
from pyasynq.operations import flows
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.flow import FlowPage, for_flow, members_of, state
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.page import Page
from pyasynq.terminal.table import Column, Table
from pyasynq.terminal.tasks import TasksPage

if TYPE_CHECKING:
    from pyasynq.inspector.flows import Listed

Row: TypeAlias = FlowInfo | BatchInfo

MOST: Final = 200
"""Flows or batches that are shown."""

SHOWN: Final = ("running", "ended", "batches")
"""What can be shown, in the order of the keys ``h`` and ``l``."""

EMPTY: Final = {
    "running": "No flow is running.",
    "ended": "No flow has ended lately.",
    "batches": "There is no batch.",
}


def _name(row: Row) -> Text:
    if isinstance(row, BatchInfo):
        return Text(texts.safe(row.id))
    return Text(texts.safe(row.name)).append(f"  {texts.safe(row.id)}", "dim")


def _total(row: Row) -> int:
    return row.total if isinstance(row, BatchInfo) else len(row.steps)


def _ended(row: Row) -> int:
    return row.ended if isinstance(row, BatchInfo) else len(row.steps) - len(flows.open_steps(row))


def _failed(row: Row) -> int:
    return row.failed if isinstance(row, BatchInfo) else row.counts.get("failed", 0)


def _failures(row: Row) -> Text:
    failed = _failed(row)
    return Text(texts.count(failed), "bold red" if failed else "dim")


def _time(title: str, name: str, from_width: int = 0) -> Column[Row]:
    return Column(
        title=title,
        cell=lambda it: texts.ago(getattr(it, name), datetime.now(UTC)),
        value=lambda it: getattr(it, name),
        right=True,
        from_width=from_width,
    )


COMMON: Final[Sequence[Column[Row]]] = (
    Column(title="State", cell=lambda it: state(it.state), value=lambda it: it.state),
    Column(title="Name, id", cell=_name, value=lambda it: _name(it).plain, fills=True),
    Column(title="Queue", cell=lambda it: it.queue, value=lambda it: it.queue),
    Column(
        title="Done",
        cell=lambda it: f"{texts.count(_ended(it))}/{texts.count(_total(it))}",
        value=lambda it: _ended(it) / max(1, _total(it)),
        right=True,
    ),
    Column(title="Failed", cell=_failures, value=_failed, right=True),
)
BOTH: Final = 100
"""Width from which on two times are shown, where the later one says more."""

COLUMNS: Final[Mapping[str, Sequence[Column[Row]]]] = {
    "running": (*COMMON, _time("Created", "created_at")),
    "ended": (*COMMON, _time("Created", "created_at", BOTH), _time("Ended", "ended_at")),
    "batches": (*COMMON, _time("Created", "created_at"), _time("Ended", "ended_at", BOTH)),
}
"""The columns of what is shown."""


class FlowsPage(Page):
    """Flows that run, those that have ended, or batches."""

    TAB: ClassVar[str] = "f"
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("enter", "open", "open", show=False),
        shortcut("l,right", "show(1)", "running/ended/batches"),
        shortcut("h,left", "show(-1)", "back", show=False),
        shortcut("r", "act('retry')", "retry"),
        shortcut("c", "act('cancel')", "cancel"),
    ]

    def __init__(self, desk: Desk) -> None:
        """Begin with the flows that run."""
        super().__init__(desk)
        self._shown = SHOWN[0]
        self.table: Table[Row] = Table(
            COLUMNS[self._shown],
            lambda it: (it.queue, it.id),
            id="flows",
            empty=EMPTY[self._shown],
        )

    def body(self) -> ComposeResult:
        """Make the table."""
        yield self.part("summary")
        yield self.table

    def on_mount(self) -> None:
        """Begin with the table."""
        self.table.focus()

    async def load(self) -> None:
        """Read the flows or the batches of all queues."""
        inspector, shown = self.desk.services.inspector, self._shown
        found: flows.Newest[FlowInfo] | flows.Newest[BatchInfo]
        if shown == "batches":
            found = await flows.newest_batches(inspector, "", MOST)
        else:
            listed: Listed = "ended" if shown == "ended" else "running"
            found = await flows.newest_flows(inspector, "", listed, MOST)
        if shown != self._shown:
            return
        title = Text()
        for name in SHOWN:
            title.append(f" {name} ", "bold reverse" if name == shown else "")
        self.put("summary", title.append(f"  the newest {MOST}" if found.more else "", "dim"))
        self.table.use(COLUMNS[shown], empty=EMPTY[shown])
        self.table.show(found.items)

    # -- keys --------------------------------------------------------------------------------------

    def action_show(self, step: int) -> None:
        """Show the others."""
        self._shown = SHOWN[(SHOWN.index(self._shown) + step) % len(SHOWN)]
        self.read_soon()

    def action_open(self) -> None:
        """Open the flow with the cursor, or the members of the batch."""
        match self.table.current:
            case FlowInfo(queue=queue, id=flow_id):
                self.app.push_screen(FlowPage(self.desk, queue, flow_id))
            case BatchInfo(queue=queue, id=batch_id):
                self.app.push_screen(TasksPage(self.desk, members_of(queue, batch_id)))
            case None:
                pass

    def action_act(self, verb: str) -> None:
        """Retry or cancel the flow or batch with the cursor."""
        if (flow := self.table.current) is not None:
            self.request(for_flow(self.desk.services.inspector, verb, flow))
