"""Who did that? The actions of operators."""

from collections.abc import Sequence
from typing import ClassVar, Final, TypeAlias

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType

from pyasynq.broker import AuditEntry
from pyasynq.terminal import texts
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.page import Page
from pyasynq.terminal.table import Column, Table

Row: TypeAlias = tuple[str, AuditEntry]
"""An action with its id."""

PAGE: Final = 100
"""Actions that are shown at first, and that ``m`` adds."""

STYLES: Final = {"failed": "bold red", "refused": "bold red", "stopped": "bold yellow"}


def _outcome(row: Row) -> Text:
    outcome = texts.safe(row[1].outcome)
    return Text(outcome, STYLES.get(outcome, ""))


def _target(row: Row) -> Text:
    text = Text(texts.safe(row[1].target))
    return text.append(f"  {texts.safe(row[1].detail)}", "dim") if row[1].detail else text


COLUMNS: Final[Sequence[Column[Row]]] = (
    Column(title="When", cell=lambda it: texts.instant(it[1].at), value=lambda it: it[1].at),
    Column(title="By", cell=lambda it: it[1].principal, value=lambda it: it[1].principal),
    Column(title="Did", cell=lambda it: it[1].action, value=lambda it: it[1].action),
    Column(
        title="Count",
        cell=lambda it: texts.count(it[1].count),
        value=lambda it: it[1].count,
        right=True,
    ),
    Column(title="Outcome", cell=_outcome, value=lambda it: it[1].outcome),
    Column(title="To what", cell=_target, fills=True),
)


class AuditPage(Page):
    """The last actions, the newest first."""

    TAB: ClassVar[str] = "a"
    BINDINGS: ClassVar[list[BindingType]] = [shortcut("m", "more", "look further")]

    def __init__(self, desk: Desk) -> None:
        """Show what *desk* reads."""
        super().__init__(desk)
        self._most = PAGE
        empty = "Nobody has changed anything."
        self.table: Table[Row] = Table(COLUMNS, lambda it: it[0], id="actions", empty=empty)

    def body(self) -> ComposeResult:
        """Make the table."""
        yield self.table

    def on_mount(self) -> None:
        """Begin with the table."""
        self.table.focus()

    async def load(self) -> None:
        """Read the actions."""
        self.table.show(await self.desk.services.broker.audit.read(None, self._most))

    def action_more(self) -> None:
        """Show older actions, too."""
        self._most += PAGE
        self.read_soon()
