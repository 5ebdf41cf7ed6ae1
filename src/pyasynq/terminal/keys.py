"""Keys that act in the order in which they are typed, and the line that shows them."""

from collections.abc import Iterator
from typing import Any

from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Footer


def shortcut(names: str, action: str, text: str = "", *, show: bool = True) -> Binding:
    """Return what binds *names*, separated by commas, to *action*.

    The app itself performs it, before it looks at the next key. Textual would pass both to the
    widget with the focus at once, so that a fast typist's answer would miss the question.
    """
    return Binding(names, action, text, show=show, priority=True)


class KeyLine(Footer):
    """The keys of a page.

    Textual makes a footer anew several times when a page is shown, which costs more than the rest
    of the page. This one is made anew when it would look different.
    """

    def __init__(self) -> None:
        """Show the keys closely, without that of Textual's own palette."""
        super().__init__(show_command_palette=False, compact=True)
        self._shown: list[tuple[str, str, bool]] = []

    def bindings_changed(self, screen: Screen[Any]) -> None:
        """Show the keys of *screen* if it is in front and they differ from those that are shown.

        Textual shows nothing new while the terminal is not in focus.
        """
        is_seen = self.app.app_focus and self.app.screen is screen
        if is_seen and (keys := list(_keys_of(screen))) != self._shown:
            self._shown = keys
            super().bindings_changed(screen)


def _keys_of(screen: Screen[Any]) -> Iterator[tuple[str, str, bool]]:
    for _, binding, enabled, _ in screen.active_bindings.values():
        if binding.show:
            yield binding.key, binding.description, enabled
