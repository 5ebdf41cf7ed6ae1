"""A page that is one text, which scrolls."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from pyasynq.terminal.keys import shortcut
from pyasynq.terminal.page import Page


class TextPage(Page):
    """A page that is one text; subclasses put it into the part `TEXT`."""

    TEXT: ClassVar[str] = "text"
    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("j,down", "scroll(1)", "down", show=False),
        shortcut("k,up", "scroll(-1)", "up", show=False),
        shortcut("pagedown,space", "scroll(15)", "page down", show=False),
        shortcut("pageup", "scroll(-15)", "page up", show=False),
    ]

    def body(self) -> ComposeResult:
        """Make what scrolls."""
        with VerticalScroll(id="detail", can_focus=False):
            yield self.part(self.TEXT)

    def action_scroll(self, lines: int) -> None:
        """Scroll by *lines*."""
        self.query_one("#detail").scroll_relative(y=lines, animate=False)
