"""Keys that act in the order in which they are typed."""

from textual.binding import Binding


def shortcut(names: str, action: str, text: str = "", *, show: bool = True) -> Binding:
    """Return what binds *names*, separated by commas, to *action*.

    The app itself performs it, before it looks at the next key. Textual would pass both to the
    widget with the focus at once, so that a fast typist's answer would miss the question.
    """
    return Binding(names, action, text, show=show, priority=True)
