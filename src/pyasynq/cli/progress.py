"""Progress of bulk work, at a terminal."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import click


@contextmanager
def progress_bar(label: str, length: int) -> Generator[Callable[[int], None]]:
    """Yield a function that shows how many of *length* are done, if stderr is a terminal.

    Args:
        label: What is done.
        length: How many there are; with 0 nothing is shown.
    """
    hidden = not length or not sys.stderr.isatty()
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden) as bar:
        yield lambda count: bar.update(count - bar.pos)
