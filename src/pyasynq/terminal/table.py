"""A table that is drawn again with new rows while its cursor stays where it is."""

import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.strip import Strip
from textual.widgets import DataTable

from pyasynq.terminal import texts
from pyasynq.terminal.keys import shortcut

R = TypeVar("R")

LEAST: Final = 8
"""Narrowest width of the column that takes the room which is left."""

MOST: Final = 37
"""Widest width of any other column: an id, and a space."""

SELECTED: Final = "●"
UNSELECTED: Final = " "
SORTED: Final = "▾"

MARK: Final = 2
"""Width of the column that shows what is selected."""

EMPTY_AT: Final = 2
"""Line that says why there are no rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[R]):
    """One column.

    Attributes:
        title: Its heading.
        cell: Takes a row and returns what is shown; plain text is made safe.
        value: Takes a row and returns what rows are sorted by; None if they are not.
        right: Whether it is aligned at the right, as numbers are.
        fills: Whether it takes the room that is left, if it needs it; one column does.
        from_width: Width of the terminal from which on it is shown.
        below_width: Width of the terminal from which on it is not.
    """

    title: str
    cell: Callable[[R], str | Text]
    value: Callable[[R], Any] | None = None
    right: bool = False
    fills: bool = False
    from_width: int = 0
    below_width: int = sys.maxsize


def widths(columns: Sequence[Column[Any]], cells: Sequence[Sequence[Text]], room: int) -> list[int]:
    """Return the width of each column, with the space behind it, for a table as wide as *room*.

    Args:
        columns: The columns.
        cells: The cells of all lines, those of the heading included.
        room: Width of the table.
    """
    natural = [max(line[n].cell_len for line in cells) + 1 for n in range(len(columns))]
    fixed = [min(it, MOST) for it in natural]
    others = sum(it for it, column in zip(fixed, columns, strict=True) if not column.fills)
    return [
        max(LEAST, min(room - others, natural[n])) if column.fills else fixed[n]
        for n, column in enumerate(columns)
    ]


class Table(DataTable[Text], Generic[R], inherit_bindings=False):
    """A table of rows; the keys are those of the dashboard for browsers."""

    BINDINGS: ClassVar[list[BindingType]] = [
        shortcut("j,down", "cursor_down", "down", show=False),
        shortcut("k,up", "cursor_up", "up", show=False),
        shortcut("pagedown", "page_down", "page down", show=False),
        shortcut("pageup", "page_up", "page up", show=False),
        shortcut("home", "scroll_top", "first row", show=False),
        shortcut("end,G", "scroll_bottom", "last row", show=False),
        shortcut("s", "sort", "sort by the next column", show=False),
    ]

    def __init__(
        self,
        columns: Sequence[Column[R]],
        key: Callable[[R], Hashable],
        *,
        id: str,
        empty: str,
    ) -> None:
        """Show *columns* of rows that *key* identifies; without rows, the text *empty*."""
        super().__init__(id=id, cursor_type="row", cell_padding=0, zebra_stripes=False)
        self.empty: str = empty
        self.selected: set[Hashable] = set()
        self._columns_of_rows = columns
        self._key = key
        self._shown: list[R] = []
        self._given: Sequence[R] = ()
        self._sorted_by: Column[R] | None = None
        self._drawn: tuple[object, ...] = ()

    @property
    def current(self) -> R | None:
        """The row with the cursor; None if there is none."""
        return self._shown[self.cursor_row] if 0 <= self.cursor_row < len(self._shown) else None

    @property
    def chosen(self) -> list[R]:
        """The selected rows, or the one with the cursor if none is selected."""
        selected = [row for row in self._shown if self._key(row) in self.selected]
        return selected or [row for row in (self.current,) if row is not None]

    @property
    def rows_shown(self) -> Sequence[R]:
        """All rows, in the order in which they are shown."""
        return self._shown

    def use(self, columns: Sequence[Column[R]], *, empty: str) -> None:
        """Show other *columns* from the next rows on; without rows, the text *empty*."""
        self.empty = empty
        if columns is not self._columns_of_rows:
            self._columns_of_rows, self._sorted_by = columns, None

    def show(self, rows: Sequence[R]) -> None:
        """Show other rows; what is selected and gone is no longer selected."""
        self._given = rows
        self.selected &= {self._key(row) for row in rows}
        self.draw()

    def draw(self) -> None:
        """Draw the rows again, if anything looks different."""
        rows = self._sort(self._given)
        width = self.app.size.width
        columns = [it for it in self._columns_of_rows if it.from_width <= width < it.below_width]
        titles = [Text(f"{it.title}{SORTED if it is self._sorted_by else ''}") for it in columns]
        cells = [titles, *([_cell(column, row) for column in columns] for row in rows)]
        wide = widths(columns, cells, width - MARK - self.scrollbar_size_vertical)
        marks = [SELECTED if self._key(row) in self.selected else UNSELECTED for row in rows]
        drawn = (columns, wide, marks, cells)
        if drawn != self._drawn:
            current, at = self._current_key(), self.cursor_row
            self._drawn, self._shown = drawn, rows
            self._draw(columns, wide, marks, cells)
            keys = [self._key(row) for row in rows]
            at = keys.index(current) if current in keys else min(at, len(rows) - 1)
            self.move_cursor(row=max(0, at), animate=False)

    def render_line(self, y: int) -> Strip:
        """Return a line; below the heading of a table without rows, why there are none."""
        if self._shown or y != EMPTY_AT:
            return super().render_line(y)
        line = Strip([Segment(f"  {self.empty}", self.rich_style)])
        return line.adjust_cell_length(self.size.width, self.rich_style)

    def _current_key(self) -> Hashable:
        current = self.current
        return None if current is None else self._key(current)

    def _draw(
        self,
        columns: Sequence[Column[R]],
        wide: Sequence[int],
        marks: Sequence[str],
        cells: Sequence[Sequence[Text]],
    ) -> None:
        top = self.scroll_y
        self.clear(columns=True)
        self.add_column(Text(UNSELECTED), width=MARK)
        fitted = [
            [
                _fit(cell, width, right=column.right)
                for cell, width, column in zip(line, wide, columns, strict=True)
            ]
            for line in cells
        ]
        for title, width in zip(fitted[0], wide, strict=True):
            self.add_column(title, width=width)
        for mark, line in zip(marks, fitted[1:], strict=True):
            self.add_row(Text(mark, "bold"), *line)
        self.scroll_to(y=top, animate=False, immediate=True)

    def on_resize(self, _event: events.Resize) -> None:
        """Choose the columns for the new width."""
        self.draw()

    # -- order and selection -----------------------------------------------------------------------

    def _sort(self, rows: Sequence[R]) -> list[R]:
        column = self._sorted_by
        if column is None or (value := column.value) is None:
            return list(rows)
        known = [row for row in rows if value(row) is not None]
        unknown = [row for row in rows if value(row) is None]
        return [*sorted(known, key=value, reverse=column.right), *unknown]

    def action_sort(self) -> None:
        """Sort by the next column, and after the last one not at all."""
        columns: list[Column[R] | None] = [it for it in self._columns_of_rows if it.value]
        cycle = [None, *columns]
        self._sorted_by = cycle[(cycle.index(self._sorted_by) + 1) % len(cycle)]
        self.draw()

    def toggle(self) -> None:
        """Select the row with the cursor, or undo that."""
        if (current := self.current) is not None:
            self.selected ^= {self._key(current)}
            self.draw()

    def select_range(self) -> None:
        """Select all rows from the nearest selected one above to the one with the cursor."""
        above = [n for n in range(self.cursor_row) if self._key(self._shown[n]) in self.selected]
        rows = self._shown[max(above, default=self.cursor_row) : self.cursor_row + 1]
        self.selected |= {self._key(row) for row in rows}
        self.draw()

    def clear_selection(self) -> bool:
        """Select nothing; return whether something was selected."""
        had_some = bool(self.selected)
        self.selected.clear()
        self.draw()
        return had_some


def _cell(column: Column[R], row: R) -> Text:
    found = column.cell(row)
    return found if isinstance(found, Text) else Text(texts.safe(found))


def _fit(text: Text, width: int, *, right: bool) -> Text:
    """Return *text* cut or filled to *width*, with one space at its end."""
    text = text.copy()
    text.truncate(width - 1, overflow="ellipsis")
    if right:
        text.align("right", width - 1)
    text.append(" ")
    text.no_wrap = True
    return text
