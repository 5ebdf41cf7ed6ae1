"""What may stand at the caret of a search line. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec

from pyasynq.core.states import TaskState
from pyasynq.operations.search import KEYS, STATES

MOST: Final = 20
"""Suggestions of one answer."""

HINTS: Final[Mapping[TaskState, str]] = {
    TaskState.ACTIVE: "a worker runs it",
    TaskState.PENDING: "ready to run",
    TaskState.AGGREGATING: "waits in a group",
    TaskState.SCHEDULED: "waits for its time",
    TaskState.RETRY: "failed, and will be tried again",
    TaskState.ARCHIVED: "failed for good, and is kept",
    TaskState.COMPLETED: "succeeded, and is kept",
}
AGES: Final = ("5m", "1h", "1d")

_TERM: Final = re.compile(r'-?(?:[^\s"]|"[^"]*"?)*')
_PLAIN: Final = re.compile(r'[^\s",*]+')


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """One text that may replace the term at the caret.

    Attributes:
        text: The text.
        label: What differs from other suggestions.
        hint: What it means; may be empty.
        count: Tasks to which it applies, if that is known.
    """

    text: str
    label: str
    hint: str = ""
    count: int | None = None


class Suggestions(msgspec.Struct, frozen=True, kw_only=True):
    """What may replace a part of the line: the characters from *start* up to *end*."""

    start: int
    end: int
    items: list[Suggestion]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What there is.

    Attributes:
        states: Number of tasks in each state.
        queues: Number of tasks in each queue.
        types: Types of tasks that ran lately, the most frequent first.
        groups: Names of groups.
    """

    states: Mapping[str, int]
    queues: Mapping[str, int]
    types: Iterable[str]
    groups: Iterable[str]


def suggest(line: str, at: int, known: Known) -> Suggestions:
    """Return what may stand at *at*, the place of the caret in *line*."""
    at = max(0, min(at, len(line)))
    start, end = next(
        ((it.start(), it.end()) for it in _TERM.finditer(line) if it.start() <= at <= it.end()),
        (at, at),
    )
    typed = line[start:at]
    sign = "-" if typed.startswith("-") else ""
    body = typed.removeprefix("-")
    key, colon, value = body.partition(":")
    if colon and key.lower() in KEYS:
        items = _values(key.lower(), value, sign, known)
    else:
        items = _keys(body, sign)
    return Suggestions(start=start, end=end, items=list(islice(items, MOST)))


def _keys(typed: str, sign: str) -> Iterator[Suggestion]:
    for key, meaning in KEYS.items():
        if key.startswith(typed.lower()):
            yield Suggestion(text=f"{sign}{key}:", label=f"{key}:", hint=meaning)


def _values(key: str, value: str, sign: str, known: Known) -> Iterator[Suggestion]:
    """Yield the values that complete the last of those that commas separate."""
    done, comma, typed = value.rpartition(",")
    typed = typed.strip('"')
    found = [it for it in _candidates(key, known) if typed.lower() in it[0].lower()]
    # Those that begin with the typed text come first.
    for label, hint, count in sorted(found, key=lambda it: it[0].lower().find(typed.lower()) > 0):
        text = f"{sign}{key}:{done}{comma}{quote(label)}"
        yield Suggestion(text=text, label=label, hint=hint, count=count)


def _candidates(key: str, known: Known) -> Iterable[tuple[str, str, int | None]]:
    """Return values of *key*, each with what it means and the number of tasks."""
    if key == "state":
        return [(it.value, HINTS[it], known.states.get(it.value)) for it in STATES]
    if key == "queue":
        return [(queue, "", count) for queue, count in known.queues.items()]
    names = {"type": known.types, "group": known.groups, "older": AGES, "newer": AGES}
    return [(name, "", None) for name in names.get(key, ())]


def quote(value: str) -> str:
    """Return *value* as it is written in a line; a quote in it becomes a wildcard."""
    if _PLAIN.fullmatch(value):
        return value
    return "*".join(f'"{part}"' for part in value.split('"'))
