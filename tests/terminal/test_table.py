"""The width of columns."""

from rich.text import Text

from pyasynq.terminal.table import LEAST, MOST, Column, widths


def a_column(title: str, *, fills: bool = False) -> Column[str]:
    return Column(title=title, cell=str, fills=fills)


def test_one_column_takes_the_room_that_is_left() -> None:
    columns = [a_column("A"), a_column("B", fills=True)]
    assert widths(columns, [[Text("xxxx"), Text("y" * 100)]], 30) == [5, 25]


def test_it_takes_no_more_than_it_needs() -> None:
    columns = [a_column("A", fills=True), a_column("B")]
    assert widths(columns, [[Text("x" * 10), Text("yy")]], 200) == [11, 3]


def test_no_other_column_is_too_wide() -> None:
    columns = [a_column("A"), a_column("B", fills=True)]
    assert widths(columns, [[Text("x" * 100), Text("y")]], 30) == [MOST, LEAST]


def test_a_wide_character_takes_two_cells() -> None:
    assert widths([a_column("A")], [[Text("A")], [Text("漢字")]], 30) == [5]
