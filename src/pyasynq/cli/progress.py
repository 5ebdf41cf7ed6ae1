"""A progress bar."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import click


@contextmanager
def progress_bar(label: str, length: int) -> Generator[Callable[[int], None]]:
    """Show a progress bar if stderr is a terminal; yield a function that takes the number done.

    Args:
        label: Text beside the bar.
        length: Number of all items; 0 shows no bar.
    """
    hidden = not length or not sys.stderr.isatty()
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden) as bar:
        yield lambda count: bar.update(count - bar.pos)
