"""Nouns and verbs of the command line, and what all of them understand."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from pyasynq.cli.connecting import add_flags
from pyasynq.cli.values import Flags

Run: TypeAlias = Callable[[argparse.Namespace], int]

STATES: Final = (
    "active",
    "pending",
    "aggregating",
    "scheduled",
    "retry",
    "archived",
    "completed",
)


def add_output(options: Flags, *, default: str = "table") -> None:
    """Add ``-o``, which may stand before the command or after it."""
    options.value(
        "-o",
        "--output",
        choices=["table", "json"],
        default=default,
        help="for people or for programs",
    )


class Noun:
    """What commands are about, such as queues."""

    def __init__(
        self,
        commands: Any,  # noqa: ANN401 - argparse keeps the type to itself
        name: str,
        help: str,
    ) -> None:
        """Add the noun to the command line."""
        parser = commands.add_parser(name, help=help, description=help)
        self._verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def verb(self, name: str, run: Run, *, help: str, aliases: Sequence[str] = ()) -> "Verb":
        """Add a verb, which *run* carries out."""
        parser = self._verbs.add_parser(name, help=help, description=help, aliases=list(aliases))
        return Verb(parser, run)


class Verb(Flags):
    """A command: where Redis is, what is printed, and options of its own.

    Those of its own have no variables: what is moved or destroyed is said where it is done.
    """

    def __init__(self, parser: argparse.ArgumentParser, run: Run) -> None:
        """Let *run* carry the command out."""
        super().__init__(parser)
        self._parser.set_defaults(run=run)
        add_flags(parser)
        add_output(self, default=argparse.SUPPRESS)  # that of the option before the command

    def words(self, name: str, *, help: str) -> "Verb":
        """Add one or more arguments."""
        self._parser.add_argument(name, nargs="+", help=help)
        return self

    def asks(self) -> "Verb":
        """Add ``--yes``: the command destroys, and asks first."""
        self.switch("-y", "--yes", help="do not ask")
        return self

    def queue(self) -> "Verb":
        """Add the queue."""
        self.value("-q", "--queue", help="name of the queue", required=True)
        return self

    def task(self) -> "Verb":
        """Add queue and id of one task."""
        self.queue().value("-i", "--id", help="id of the task", required=True, action=_Once)
        return self

    def tasks(self) -> "Verb":
        """Add queue and ids of tasks."""
        text = "id of the task; repeatable"
        self.queue().value("-i", "--id", help=text, required=True, action="append", dest="ids")
        return self

    def state(self, states: Sequence[str] = STATES) -> "Verb":
        """Add queue, state and group."""
        self.queue().value("-s", "--state", choices=states, help="where they are", required=True)
        self.value("-g", "--group", help="their group; needed for aggregating, and only there")
        return self

    def page(self) -> "Verb":
        """Add page and size."""
        self.value("--page", type=_positive, default=1, help="which page")
        self.value("--size", type=_positive, default=30, help="how many on a page")
        return self


class _Once(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        words: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        if getattr(words, self.dest) is not None:
            parser.error(f"{option_string} is given twice: this command takes one task")
        setattr(words, self.dest, values)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        msg = f"{text!r} is no whole number from 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
