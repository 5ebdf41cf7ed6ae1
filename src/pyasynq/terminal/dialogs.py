"""What is asked and explained in front of a page."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TextArea

from pyasynq.operations.search import KEYS
from pyasynq.terminal import texts
from pyasynq.terminal.keys import shortcut

Prepare: TypeAlias = "Callable[[Question], Coroutine[Any, Any, None]]"


class Question(ModalScreen[bool]):
    """Asks before something is done; returns whether the answer is yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("y", "answer(True)", "yes"),
        shortcut("n,escape,q", "answer(False)", "no"),
    ]

    def __init__(self, text: str, more: str = "", prepare: "Prepare | None" = None) -> None:
        """Ask *text*, with *more* about what happens.

        Args:
            text: The question.
            more: More about what happens.
            prepare: Finds out what to ask, and calls `ask`; no yes counts before that. It is
                cancelled by a no.
        """
        super().__init__()
        self._question = text
        self._more = more
        self._prepare = prepare
        self._is_ready = prepare is None

    def compose(self) -> ComposeResult:
        """Make the box."""
        with Vertical(classes="dialog"):
            yield Static(self._content(), id="question")

    def on_mount(self) -> None:
        """Begin to find out what to ask."""
        if self._prepare is not None:
            self.run_worker(self._prepare(self))

    def ask(self, text: str) -> None:
        """Ask *text* instead, from now on ready for an answer."""
        self._question, self._is_ready = text, True
        self.query_one("#question", Static).update(self._content())

    def _content(self) -> Text:
        text = Text(texts.safe(self._question), "bold")
        if self._more:
            text.append(f"\n{texts.safe(self._more)}", "not bold")
        keys = "y yes   n no" if self._is_ready else "n stop"
        return text.append(f"\n\n{keys}", "not bold")

    def action_answer(self, answer: bool) -> None:  # noqa: FBT001 - an action of textual
        """Return the answer; a yes before the question is complete counts for nothing."""
        if self._is_ready or not answer:
            self.dismiss(answer)


class Prompt(ModalScreen[str | None]):
    """Asks for a text; returns None if there is none."""

    BINDINGS: ClassVar[list[BindingType]] = [shortcut("escape", "dismiss", "back")]

    def __init__(self, title: str, value: str = "", *, more: str = "") -> None:
        """Ask for what *title* says, with *more* about it, and offer *value*."""
        super().__init__()
        self._heading = title
        self._more = more
        self._value = value

    def compose(self) -> ComposeResult:
        """Make the box."""
        text = Text(texts.safe(self._heading), "bold")
        if self._more:
            text.append(f"\n{texts.safe(self._more, lines=True)}", "not bold")
        with Vertical(classes="dialog"):
            yield Static(text)
            yield Input(self._value, id="prompt", compact=True)
            yield Static("\n↵ go on   esc back")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return the text."""
        self.dismiss(event.value.strip() or None)


class Editor(ModalScreen[str | None]):
    """Lets a text be changed; returns None if it is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("ctrl+s", "save", "go on"),
        shortcut("escape", "dismiss", "back"),
    ]

    def __init__(self, title: str, text: str) -> None:
        """Let *text* be changed, which the terminal must be able to show as it is."""
        super().__init__()
        self._heading = title
        self._field = TextArea(text, id="editor", compact=True)

    def compose(self) -> ComposeResult:
        """Make the box."""
        with Vertical(classes="dialog wide"):
            yield Static(Text(texts.safe(self._heading), "bold"))
            yield self._field
            yield Static("ctrl+s go on   esc back")

    def action_save(self) -> None:
        """Return the text."""
        self.dismiss(self._field.text)


class Choice(ModalScreen[str | None]):
    """Lists keys, and returns the one that is pressed; None for any other."""

    def __init__(self, title: str, choices: Mapping[str, str]) -> None:
        """Offer *choices*: what each key means."""
        super().__init__()
        self._heading = title
        self._choices = choices
        for name in choices:
            self._bindings.bind(name, f"choose({name!r})", priority=True)

    def compose(self) -> ComposeResult:
        """Make the box."""
        with Vertical(classes="dialog"):
            yield Static(_list(texts.safe(self._heading), list(self._choices.items())))

    def on_key(self, event: events.Key) -> None:
        """Return None for any other key."""
        event.stop()
        self.dismiss(None)

    def action_choose(self, name: str) -> None:
        """Return the key *name*."""
        self.dismiss(name)


class Help(ModalScreen[None]):
    """Lists all keys, and what a search line may contain."""

    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("question_mark,escape,q,enter", "dismiss", "close"),
        shortcut("j,down", "scroll(1)", "down", show=False),
        shortcut("k,up", "scroll(-1)", "up", show=False),
    ]

    def __init__(self, groups: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """List *groups* of keys with what each does."""
        super().__init__()
        self._keys_by_group = groups

    def compose(self) -> ComposeResult:
        """Make the box."""
        with VerticalScroll(classes="dialog wide"):
            for title, keys in self._keys_by_group.items():
                yield Static(_list(title, keys))
            yield Static(_list("In a search line", [(f"{key}:", it) for key, it in KEYS.items()]))

    def action_scroll(self, lines: int) -> None:
        """Scroll by *lines*."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def _list(title: str, rows: Sequence[tuple[str, str]]) -> Text:
    """Return *rows* in two columns below *title*."""
    text = Text(title, "bold")
    wide = max((len(key) for key, _ in rows), default=0)
    for key, meaning in rows:
        text.append(f"\n  {key:<{wide}}  ", "bold").append(meaning, "not bold")
    return text.append("\n")
