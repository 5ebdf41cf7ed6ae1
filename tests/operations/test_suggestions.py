"""While a search line is written, what may follow is suggested."""

import pytest

from pyasynq.operations.search import parse
from pyasynq.operations.suggestions import MOST, Known, suggest

KNOWN = Known(
    states={"retry": 5, "archived": 2},
    queues={"low": 3, "a, b": 1, 'a"b': 0},
    types=["email:welcome", "image:resize"],
    groups=["g"],
)


def texts(line: str, at: int | None = None) -> list[str]:
    found = suggest(line, len(line) if at is None else at, KNOWN)
    return [item.text for item in found.items]


@pytest.mark.parametrize(
    ("line", "suggested"),
    [
        ("st", ["state:"]),
        ("-st", ["-state:"]),
        ("state:re", ["state:retry", "state:aggregating"]),
        ("state:retry,ar", ["state:retry,archived"]),
        ("queue:l", ["queue:low"]),
        ('queue:"a', ['queue:"a, b"', 'queue:"a"*"b"']),
        ("x type:wel", ["type:email:welcome"]),
        ("group:", ["group:g"]),
        ("older:1", ["older:1h", "older:1d"]),
        ("error:x", []),
        ("zzz", []),
    ],
)
def test_what_completes_the_term_is_suggested(line: str, suggested: list[str]) -> None:
    assert texts(line) == suggested


@pytest.mark.parametrize("line", ["", "state:retry "])
def test_at_the_start_of_a_term_all_keys_are_suggested(line: str) -> None:
    assert texts(line)[:3] == ["state:", "queue:", "type:"]


def test_the_term_at_the_caret_is_replaced() -> None:
    found = suggest("state:re error:x", 8, KNOWN)
    assert (found.start, found.end, found.items[0].text) == (0, 8, "state:retry")
    assert found.items[0].count == 5


@pytest.mark.parametrize("at", [-5, 500])
def test_a_caret_outside_the_line_is_at_its_end(at: int) -> None:
    assert suggest("st", at, KNOWN).items


def test_a_suggested_queue_is_the_one_that_is_searched() -> None:
    searched = [
        parse(text).wants_queue(name)
        for text, name in zip(texts("queue:"), KNOWN.queues, strict=True)
    ]
    assert searched == [True, True, True]


def test_few_of_many_are_suggested() -> None:
    many = Known(states={}, queues={f"q{n}": n for n in range(500)}, types=[], groups=[])
    assert len(suggest("queue:", 6, many).items) == MOST
