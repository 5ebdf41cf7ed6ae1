"""What commands print: tables for people, JSON for programs. Messages go to stderr."""

import codecs
import re
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import click
import msgspec

from pyasynq.cli.optional_deps import require
from pyasynq.core.json_form import text_of, to_json_types
from pyasynq.core.safe_text import is_safe, safe

if TYPE_CHECKING:
    from rich.console import Console

NEVER: Final = "N/A"
IDS: Final = frozenset({"ID", "EntryID", "TaskID"})
"""Headings of columns that people copy from: their cells are never broken into two lines."""

LEAST_CELLS: Final = 8
"""Narrowest width of all other columns, unless a word of the heading is longer."""

_BEYOND_ASCII: Final = re.compile(r"[^\n -~]")
"""What is not escaped in JSON, but perhaps not printed."""


def print_data(text: str) -> None:
    """Print *text* to stdout."""
    print(safe(text, lines=True))  # noqa: T201 - data of a command line


def print_message(text: str) -> None:
    """Print *text* to stderr."""
    print(safe(text, lines=True), file=sys.stderr)  # noqa: T201 - messages of a command line


def print_json(value: object) -> None:
    """Print *value* as one JSON document."""
    document = msgspec.json.encode(to_json_types(value))
    text = msgspec.json.format(document, indent=2).decode()
    has_all = _is_utf8(sys.stdout.encoding)

    def escape(found: re.Match[str]) -> str:
        character = found.group()
        return character if has_all and is_safe(character) else _escape_units(character)

    print(_BEYOND_ASCII.sub(escape, text))  # noqa: T201 - data of a command line


def _is_utf8(encoding: str | None) -> bool:
    """Return whether *encoding* is UTF-8; a stream without an encoding is in memory."""
    return encoding is None or codecs.lookup(encoding).name == "utf-8"


def _escape_units(character: str) -> str:
    return re.sub("(....)", r"\\u\1", character.encode("utf-16-be").hex())


@contextmanager
def progress_bar(label: str, length: int) -> Generator[Callable[[int], None]]:
    """Show a progress bar if stderr is a terminal; yield a function that takes the number done.

    Args:
        label: Text beside the bar.
        length: Number of all items; 0 shows no bar.
    """
    hidden = not length or not sys.stderr.isatty()
    shown = safe(label)
    with click.progressbar(length=length, label=shown, file=sys.stderr, hidden=hidden) as bar:
        yield lambda count: bar.update(count - bar.pos)


def print_json_or_table(
    document: Sequence[object],
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    empty: str,
    as_json: bool,
) -> None:
    """Print *document* as JSON, or *rows* as a table, or if there are none the message *empty*."""
    if as_json:
        print_json(document)
    elif rows:
        print_table(headings, rows)
    else:
        print_message(empty)


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = ""
) -> None:
    """Print *rows* under *headings*; each row as a block of lines if the terminal is too narrow.

    Raises:
        ExitError: If rich is not installed.
    """
    require("rich", "cli", "tables need rich", "ask for JSON: -o json")
    from rich.console import Console

    # A pipe has no width: rich must not break lines there.
    width = None if sys.stdout.isatty() else 1_000_000
    console = Console(file=sys.stdout, width=width, highlight=False)
    headings = [safe(heading) for heading in headings]
    cells = [[safe(str(cell), lines=True) for cell in row] for row in rows]
    if _fits(headings, cells, console.width):
        _print_grid(console, headings, cells, title)
    else:
        _print_blocks(headings, cells, title)


def _fits(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Return whether *width* has room for whole ids, whole words of headings, and the rest."""
    from rich.cells import cell_len

    natural = (max(map(cell_len, column)) for column in zip(headings, *rows, strict=True))
    least = (
        cells if heading in IDS else min(cells, max([LEAST_CELLS, *map(cell_len, heading.split())]))
        for heading, cells in zip(headings, natural, strict=True)
    )
    return sum(least) + 2 * (len(headings) - 1) <= width


def _print_grid(
    console: "Console", headings: Sequence[str], rows: Sequence[Sequence[str]], title: str
) -> None:
    from rich.table import Table
    from rich.text import Text

    if title:  # the title of a rich table is broken if its columns are narrower
        console.print(Text(safe(title), style="table.title"), soft_wrap=True)
    grid = Table(box=None, pad_edge=False)
    for heading in headings:
        grid.add_column(Text(heading), overflow="fold", no_wrap=heading in IDS)
    for row in rows:
        grid.add_row(*map(Text, row))
    console.print(grid)


def _print_blocks(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    """Print a line for each cell; a terminal copies a line that it has broken as one."""
    blocks = ("\n".join(map("{}: {}".format, headings, row)) for row in rows)
    print_data("\n\n".join([*([title] if title else []), *blocks]))


# -- cells -----------------------------------------------------------------------------------------


def count(number: int, one: str, many: str = "") -> str:
    """Return a *number* with what it counts: *one* of that, or *many*, by default with an ``s``."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def format_payload(content: bytes | None) -> str:
    """Return *content* if asynq's tool would print it, too."""
    text = text_of(content or b"")
    if text and text.isprintable() and not text.isspace():
        return text
    return "non-printable bytes"


def format_span(duration: timedelta) -> str:
    """Return *duration* in Go's form, rounded to seconds."""
    seconds = round(duration.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    minutes, s = divmod(seconds, 60)
    h, m = divmod(minutes, 60)
    parts = [f"{h}h"] * bool(h) + [f"{m}m"] * bool(h or m) + [f"{s}s"]
    return sign + "".join(parts)


def format_instant(at: datetime | None) -> str:
    """Return *at* in local time."""
    if at is None:
        return NEVER
    local = at.astimezone()
    return f"{local:%a %b} {local.day:2} {local:%H:%M:%S %Z %Y}"  # Windows lacks %e


def format_ago(at: datetime | None, now: datetime) -> str:
    """Return how long ago *at* was."""
    return NEVER if at is None else f"{format_span(now - at)} ago"


def format_until(at: datetime | None, now: datetime) -> str:
    """Return how long it is until *at*."""
    if at is None:
        return NEVER
    return f"in {format_span(at - now)}" if at > now else "right now"


def format_error_rate(processed: int, failed: int) -> str:
    """Return the share of runs that failed."""
    return f"{100 * failed / processed:.2f}%" if processed else NEVER
