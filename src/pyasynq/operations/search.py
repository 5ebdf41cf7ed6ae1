"""The search language: what a line of ``key:value`` terms means. Pure."""

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pyasynq.core.durations import parse_duration
from pyasynq.core.info import TaskInfo
from pyasynq.core.queue_weights import compile_parts
from pyasynq.core.states import TaskState

STATES: Final = (
    TaskState.ACTIVE,
    TaskState.PENDING,
    TaskState.AGGREGATING,
    TaskState.SCHEDULED,
    TaskState.RETRY,
    TaskState.ARCHIVED,
    TaskState.COMPLETED,
)
"""States in the order in which they are shown and searched."""

KEYS: Final = {
    "state": "where the task is, such as retry,archived",
    "queue": "name of the queue; * stands for any text",
    "type": "type of the task, such as email:*",
    "id": "id of the task; * stands for any text",
    "group": "group in which it waits",
    "payload": "text that its payload contains",
    "error": "text that its last error contains",
    "older": "least time since its last failure or success, such as 5m",
    "newer": "longest time since its last failure or success, such as 2h",
}
"""The keys, and what each means."""

PATTERNS: Final = ("state", "queue", "type", "id", "group")
"""Keys whose value is a list of patterns, separated by commas."""

ANYWHERE: Final = ""
"""Key of a bare word: it is found in the type, the id, the last error or the payload."""

_TERM: Final = re.compile(r'(?P<sign>-?)(?P<body>(?:[^\s"]|"[^"]*"?)+)')
_KEY: Final = re.compile(r"(?P<key>[A-Za-z]+):(?P<value>.*)", re.DOTALL)
_ALTERNATIVE: Final = re.compile(r'(?:[^",]|"[^"]*"?)+')
_PART: Final = re.compile(r'"([^"]*)"?|([^"]+)')
_DAYS: Final = re.compile(r"(?P<days>\d+)d(?P<rest>.*)")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class SearchError(ValueError):
    """A line that is no search.

    Attributes:
        at: Where the term is that cannot be read, from 0.
    """

    def __init__(self, at: int, text: str) -> None:
        """Say what is wrong."""
        self.at = at
        super().__init__(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One condition.

    Attributes:
        key: One of `KEYS`, or `ANYWHERE`.
        value: What is looked for, without quotes.
        written: The same as it was written.
        negated: Whether the condition must not hold.
        start: Where the term begins in the line.
        end: Where it ends.
        no_key: What stands before a colon in a bare word, although it is no key; perhaps empty.
    """

    key: str
    value: str
    written: str
    negated: bool
    start: int
    end: int
    no_key: str = ""


def split(line: str) -> Iterator[Term]:
    """Yield the terms of *line*; each may still have a value that is not allowed."""
    for match in _TERM.finditer(line):
        body = match["body"]
        found = _KEY.fullmatch(body)
        key, value = (found["key"].lower(), found["value"]) if found else (ANYWHERE, body)
        no_key = ""
        if key and key not in KEYS:
            _check_not_misspelled(match.start(), key, value)
            # Types of tasks often contain a colon: the answer says how it was understood.
            no_key, key, value = key, ANYWHERE, body
        yield Term(
            key=key,
            value=value.replace('"', ""),
            written=value,
            negated=bool(match["sign"]),
            start=match.start(),
            end=match.end(),
            no_key=no_key,
        )


def _check_not_misspelled(at: int, key: str, value: str) -> None:
    if near := difflib.get_close_matches(key, KEYS, n=1, cutoff=0.75):
        raise SearchError(at, f"there is no {key}: did you mean {near[0]}:{value}?")


def parse(line: str) -> "Query":
    """Return what *line* means.

    Raises:
        SearchError: If a term cannot be read.
    """
    terms = list(split(line))
    for term in terms:
        if not term.value:
            raise SearchError(term.start, f"{term.key}: has no value")
        if term.key == "state":
            _check_states(term)
        if term.key in {"older", "newer"}:
            _duration(term)
    return Query(line, terms)


def _check_states(term: Term) -> None:
    for value in _alternatives(term.written):
        if not any(_pattern(value).fullmatch(state.value) for state in STATES):
            near = difflib.get_close_matches(value, STATES, n=1)
            more = f": did you mean state:{near[0]}?" if near else f": {', '.join(STATES)}"
            raise SearchError(term.start, f"there is no state {value!r}{more}")


def parse_span(text: str) -> timedelta:
    """Return the time that *text* gives: a duration as Go writes it, or days before it: ``1d12h``.

    Raises:
        ValueError: If it gives none, or a negative one.
        OverflowError: If it is too long.
    """
    days = 0
    if found := _DAYS.fullmatch(text):
        days, text = int(found["days"]), found["rest"] or "0"
    if text.startswith("-"):  # Go's durations may be negative
        msg = f"{text!r} is negative"
        raise ValueError(msg)
    return timedelta(days=days) + parse_duration(text)


def _duration(term: Term) -> timedelta:
    with suppress(ValueError, OverflowError):
        return parse_span(term.value)
    text = f"{term.value!r} is no time: write {term.key}:5m, {term.key}:2h or {term.key}:3d"
    raise SearchError(term.start, text)


class Query:
    """The tasks that are looked for; all terms must hold."""

    def __init__(self, line: str, terms: Sequence[Term]) -> None:
        """Take terms whose values are allowed."""
        self.line = line
        self.terms = terms
        self._patterns = {
            term.start: [_pattern(it) for it in _alternatives(term.written)]
            for term in terms
            if term.key in PATTERNS
        }
        self._tests = [term for term in terms if term.key not in {"state", "queue", "group"}]
        self._ages = {
            term.start: _duration(term) for term in terms if term.key in {"older", "newer"}
        }

    @property
    def only_places(self) -> bool:
        """Whether all tasks in the places that are searched meet all terms."""
        return not self._tests

    @property
    def only_error(self) -> str | None:
        """The text in the last error that tasks need, if they need nothing else, in ASCII."""
        if len(self._tests) != 1:
            return None
        [term] = self._tests
        is_plain = term.key == "error" and not term.negated and term.value.isascii()
        return term.value if is_plain else None

    @property
    def ids(self) -> Sequence[str]:
        """The ids that can be looked up, if no other task can meet the terms; else nothing."""
        for term in self.terms:
            if term.negated:
                continue
            if term.key == "id":
                found = _alternatives(term.written)
                return [it.replace('"', "") for it in found] if not _has_wildcard(found) else ()
            if term.key == ANYWHERE and _UUID.fullmatch(term.value.lower()):
                return [term.value.lower()]
        return ()

    def states(self) -> list[TaskState]:
        """Return the states that are searched."""
        return [state for state in STATES if self._may_be("state", state.value)]

    def wants_queue(self, name: str) -> bool:
        """Return whether the queue is searched."""
        return self._may_be("queue", name)

    def wants_group(self, name: str) -> bool:
        """Return whether the group of a queue is searched."""
        return self._may_be("group", name)

    @property
    def names_group(self) -> bool:
        """Whether only tasks of some groups are looked for."""
        return any(term.key == "group" and not term.negated for term in self.terms)

    def _may_be(self, key: str, name: str) -> bool:
        return all(
            self._matches(name, term) != term.negated for term in self.terms if term.key == key
        )

    def _matches(self, name: str, term: Term) -> bool:
        return any(it.fullmatch(name) is not None for it in self._patterns[term.start])

    def meets(self, task: TaskInfo, now: datetime) -> bool:
        """Return whether *task*, of a place that is searched, meets all terms."""
        return all(self._holds(term, task, now) != term.negated for term in self._tests)

    def _holds(self, term: Term, task: TaskInfo, now: datetime) -> bool:
        match term.key:
            case "type":
                return self._matches(task.type, term)
            case "id":
                return self._matches(task.id, term)
            case "payload":
                return _in_payload(term.value, task)
            case "error":
                return _in_text(term.value, task.last_error)
            case "older" | "newer":
                return self._has_age(term, task, now)
            case _:
                return (
                    _in_text(term.value, task.type)
                    or _in_text(term.value, task.id)
                    or _in_text(term.value, task.last_error)
                    or _in_payload(term.value, task)
                )

    def _has_age(self, term: Term, task: TaskInfo, now: datetime) -> bool:
        times = [at for at in (task.last_failed_at, task.completed_at) if at is not None]
        if not times:
            return False
        age = now - max(times)
        limit = self._ages[term.start]
        return age >= limit if term.key == "older" else age <= limit


def _alternatives(written: str) -> list[str]:
    """Return what commas separate, outside quotes."""
    return _ALTERNATIVE.findall(written)


def _has_wildcard(written: Sequence[str]) -> bool:
    return any("*" in plain for it in written for _, plain in _PART.findall(it))


def _pattern(written: str) -> re.Pattern[str]:
    """Return the pattern of a name; ``*`` outside quotes stands for any text."""
    parts = [""]
    for quoted, plain in _PART.findall(written):
        first, *others = plain.split("*") if plain else [quoted]
        parts[-1] += re.escape(first)
        parts += map(re.escape, others)
    return compile_parts(parts)


def _in_text(wanted: str, text: str | None) -> bool:
    return wanted.lower() in (text or "").lower()


def _in_payload(wanted: str, task: TaskInfo) -> bool:
    return wanted.encode(errors="surrogatepass").lower() in task.payload.lower()
