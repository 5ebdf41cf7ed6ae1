"""Keys that act in the order in which they are typed, and the lines that show them."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from rich.cells import cell_len
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

Shown: TypeAlias = tuple[str, str]
"""A key, and what it does."""


def shortcut(names: str, action: str, text: str = "", *, show: bool = True) -> Binding:
    """Return what binds *names*, separated by commas, to *action*.

    The app itself performs it, before it looks at the next key. Textual would pass both to the
    widget with the focus at once, so that a fast typist's answer would miss the question.
    """
    return Binding(names, action, text, show=show, priority=True)


class KeyLine(Static):
    """The keys of a page, on two lines if one is too short.

    Textual's own footer has one line, and a widget for each key, which it makes anew several times
    when a page is shown.
    """

    def __init__(self) -> None:
        """Show the keys when they are known."""
        super().__init__()
        self._keys: list[Shown] = []

    def on_mount(self) -> None:
        """Look at the keys whenever they may have changed."""
        self.screen.bindings_updated_signal.subscribe(self, self._look)

    def on_resize(self) -> None:
        """Distribute the keys for the new width."""
        self._draw()

    def _look(self, screen: Screen[Any]) -> None:
        """Show the keys of *screen* if it is in front.

        While the terminal is not in focus, no widget is, and some keys are missing.
        """
        is_seen = self.app.app_focus and self.app.screen is screen
        if is_seen and (keys := _keys_of(screen)) != self._keys:
            self._keys = keys
            self._draw()

    def _draw(self) -> None:
        self.update(Content("\n").join(map(_line, fold(self._keys, self.app.size.width))))


def fold(keys: Sequence[Shown], width: int) -> list[list[Shown]]:
    """Return *keys* on lines of at most *width* columns."""
    lines: list[list[Shown]] = [[]]
    room = width
    for key in keys:
        size = cell_len(" ".join(key))
        if lines[-1] and size > room:
            lines.append([])
            room = width
        lines[-1].append(key)
        room -= size + 1
    return lines


def _line(keys: Sequence[Shown]) -> Content:
    parts = [Content.assemble((key, "bold $footer-key-foreground"), f" {it}") for key, it in keys]
    return Content(" ").join(parts)


def _keys_of(screen: Screen[Any]) -> list[Shown]:
    """Return the keys of *screen*; of several that do the same, the first one."""
    shown: dict[str, Binding] = {}
    for active in screen.active_bindings.values():
        if active.binding.show:
            shown.setdefault(active.binding.action, active.binding)
    return [(screen.app.get_key_display(it), it.description) for it in shown.values()]
