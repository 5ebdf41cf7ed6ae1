"""The app: its pages, the keys that work everywhere, and its look."""

import logging
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final, TypeGuard

from textual.app import App
from textual.binding import BindingType
from textual.screen import ModalScreen, Screen
from textual.widgets import Input

from pyasynq.broker import BrokerAddress
from pyasynq.core.codec import Codec
from pyasynq.operations.services import Services
from pyasynq.runtime.os_signals import STOP_SIGNALS, handle_os_signals
from pyasynq.terminal.audit import AuditPage
from pyasynq.terminal.broker import BrokerPage
from pyasynq.terminal.desk import Desk
from pyasynq.terminal.dialogs import Choice, Help, Question
from pyasynq.terminal.flows import FlowsPage
from pyasynq.terminal.groups import GroupsPage
from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.overview import OverviewPage
from pyasynq.terminal.page import Page
from pyasynq.terminal.schedules import SchedulesPage
from pyasynq.terminal.servers import WorkersPage
from pyasynq.terminal.tasks import TasksPage
from pyasynq.terminal.types import TypesPage

PAGES: Final[Mapping[str, Callable[[Desk], Page]]] = {
    "o": OverviewPage,
    "y": TypesPage,
    "t": TasksPage,
    "f": FlowsPage,
    "p": GroupsPage,
    "w": WorkersPage,
    "s": SchedulesPage,
    "r": BrokerPage,
    "a": AuditPage,
}
HERE: Final = "On this page"
LIST: Final = "In a list"
EVERYWHERE: Final = "Everywhere"

EVERYWHERE_ACTIONS: Final = ("leave_at_once", "focus_next")

QUEUE: Final = "q"
"""Key that finds a queue, after ``g``."""

STYLES: Final = """
Screen { layout: vertical; }
Page #top { height: 1; background: $panel; }
KeyLine { dock: bottom; height: auto; max-height: 2; text-wrap: nowrap;
          color: $footer-foreground; background: $footer-background; }
#alerts, #figures, #trouble, #problem, #job, #summary { height: auto; display: none; }
#top, #alerts, #figures { text-wrap: nowrap; text-overflow: ellipsis; }
Page #figures { margin-bottom: 1; }
Page.-old Table, Page.-old #figures, Page.-old #detail { text-opacity: 50%; }
Page #filter, Page #line { background: $panel; }
Table { height: 1fr; background: $background; scrollbar-size: 1 1; }
Table:focus { background-tint: $foreground 0%; }
Table > .datatable--header { background: $background; color: $text-muted; text-style: underline; }
Table > .datatable--cursor { background: $surface; color: $foreground; text-style: none; }
Table:focus > .datatable--cursor { background: $primary; color: $text; text-style: bold; }
Table:focus:nocolor > .datatable--cursor { text-style: bold reverse; }
#detail { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
#servers, #types { height: 1fr; }
#prompt { width: 60; }
#editor { height: 12; margin: 1 0; }
#events { height: auto; max-height: 12; }
ModalScreen { align: center middle; }
.dialog { width: auto; max-width: 90%; height: auto; max-height: 90%; padding: 1 2;
          border: round $primary; background: $panel; }
.dialog Static { width: auto; max-width: 100%; }
.dialog.wide { width: 90%; scrollbar-size: 1 1; }
"""


class TerminalDashboard(App[None]):
    """Shows queues, tasks, workers and schedules in a terminal, and acts on them."""

    TITLE: str | None = "pyasynq"
    CSS: ClassVar[str] = STYLES
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("g", "go_to", "go to"),
        shortcut("slash", "search", "search"),
        shortcut("question_mark", "help", "keys"),
        shortcut("q", "leave", "quit"),
        shortcut("ctrl+c,ctrl+q", "leave_at_once", "quit at once", show=False),
    ]

    def __init__(
        self, broker: BrokerAddress, *, read_only: bool = False, codecs: Sequence[Codec] = ()
    ) -> None:
        """Show what is in *broker*; nothing is sent before it runs.

        Args:
            broker: A URL, a bare ``host:port``, a redis-py asyncio client, or an open broker; the
                last two stay yours to close.
            read_only: Whether nothing may be changed.
            codecs: Open payloads and results.

        Raises:
            OptionError: If the broker or a codec cannot be used.
        """
        # Without colours means the terminal's own, not shades of grey.
        super().__init__(ansi_color=True if os.environ.get("NO_COLOR") else None)
        self._services = Services(broker, codecs=codecs)
        self.desk: Desk = Desk(self._services, read_only=read_only)

    def get_default_screen(self) -> Screen[None]:
        """Return the first page."""
        return OverviewPage(self.desk)

    async def show(self) -> None:
        """Run in this terminal until the user leaves, or a signal ends it.

        Raises:
            BrokerUnavailableError: If the broker does not answer at first.
        """
        try:
            await self._services.broker.ping()
            with handle_os_signals(STOP_SIGNALS, lambda _: self.exit()), _no_logs_at_terminal():
                await self.run_async(mouse=False)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop what runs, and close the connections that it opened."""
        await self._services.aclose()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key acts: not in front of a question, or while a line is written."""
        if action in EVERYWHERE_ACTIONS:
            return True
        return not isinstance(self.screen, ModalScreen) and not isinstance(self.focused, Input)

    # -- keys --------------------------------------------------------------------------------------

    def action_go_to(self) -> None:
        """Ask for the page to go to."""
        choices = {**self.desk.titles, QUEUE: "a queue by its name"}
        self.push_screen(Choice("Go to", choices), self._go_to)

    def _go_to(self, key: str | None) -> None:
        if key is None:
            return
        while len(self.screen_stack) > 1:
            self.pop_screen()
        first = self.screen_stack[0]
        if key == QUEUE and isinstance(first, OverviewPage):
            first.action_filter()
        elif key != OverviewPage.TAB:
            self.push_screen(PAGES[key](self.desk))

    def action_search(self) -> None:
        """Go to the search line."""
        screen = self.screen
        if isinstance(screen, TasksPage):
            screen.field.focus()
        elif isinstance(screen, Page):
            self.push_screen(TasksPage(self.desk, types=True))

    def action_help(self) -> None:
        """List all keys."""
        groups: dict[str, dict[str, list[str]]] = {HERE: {}, LIST: {}, EVERYWHERE: {}}
        for active in self.screen.active_bindings.values():
            title = HERE if active.node is self.screen else LIST
            keys = groups[EVERYWHERE if active.node is self else title]
            binding = active.binding
            if binding.description and not binding.system:
                keys.setdefault(binding.description, []).append(self.get_key_display(binding))
        self.push_screen(Help({title: _lines(keys) for title, keys in groups.items() if keys}))

    def action_leave_at_once(self) -> None:
        """Leave."""
        self.exit()

    def action_leave(self) -> None:
        """Leave; ask first if an action on many tasks would be stopped by that."""
        job = self.desk.running
        if job is None:
            self.exit()
            return

        def answer(is_yes: bool | None) -> None:  # noqa: FBT001 - called by textual
            if is_yes:
                self.exit()

        text = f"Stop the action on all that match ({job.action}), and leave?"
        self.push_screen(Question(text, "What is done stays done."), answer)


def _lines(keys: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(" ".join(names), description) for description, names in keys.items()]


@contextmanager
def _no_logs_at_terminal() -> Generator[None]:
    """Keep log lines from being written over the pages; those to files go on."""
    loggers = [it for it in logging.root.manager.loggerDict.values() if _is_logger(it)]
    handlers = {handler for it in (logging.root, *loggers) for handler in it.handlers}
    hidden = [handler for handler in handlers if _writes_to_terminal(handler)]
    for handler in hidden:
        handler.addFilter(_refuse)
    try:
        yield
    finally:
        for handler in hidden:
            handler.removeFilter(_refuse)


def _is_logger(found: object) -> TypeGuard[logging.Logger]:
    return isinstance(found, logging.Logger)


def _writes_to_terminal(handler: logging.Handler) -> bool:
    is_terminal: Callable[[], bool] = getattr(getattr(handler, "stream", None), "isatty", bool)
    return is_terminal()


def _refuse(_record: logging.LogRecord) -> bool:
    return False
