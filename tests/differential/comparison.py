"""Compare what Go and Python did, part by part."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.differential.answers import ESTIMATE, Estimate, parts
from tests.differential.operations import Operation
from tests.differential.sides import Answer
from tests.differential.snapshot import Atom, Instant, Path, Snapshot

CLOCK_S: Final = 0.02
"""Seconds by which two clocks may differ, including what Redis' milliseconds cut off."""


class Nothing:
    """Stands for a missing part."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = Nothing()


@dataclass(frozen=True)
class Difference:
    """One part in which the two sides differ; the key of an answer is ``answer``."""

    path: Path
    go: Atom
    python: Atom

    @property
    def key(self) -> str:
        """The key in Redis, or ``answer``."""
        return self.path[0]

    @property
    def part(self) -> str:
        """The part of the key."""
        return self.path[1]

    def __str__(self) -> str:
        return f"{self.key} {self.part}: Go has {self.go!r}, Python {self.python!r}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One operation, from the same state on both sides.

    Attributes:
        operation: The operation.
        before: The content of both Redis before it.
        go: The content of Go's Redis after it.
        python: The content of Python's Redis after it.
        go_answer: Go's answer.
        python_answer: Python's answer.
        started_s: When the first side started, Unix seconds.
        window_s: Seconds until both sides had ended.
    """

    operation: Operation
    before: Snapshot
    go: Snapshot
    python: Snapshot
    go_answer: Answer
    python_answer: Answer
    started_s: float
    window_s: float

    def alike(self, go: Atom, python: Atom) -> bool:
        """Tell whether two parts are equal; instants may differ by the window of the operation."""
        if isinstance(go, Instant) and isinstance(python, Instant):
            if go.whole != python.whole:  # one side has cut off less than a second
                return abs(go.at - python.at) <= 1 + CLOCK_S + self.window_s
            return abs(go.at - python.at) <= self.slack_s(go)
        if isinstance(go, Estimate) and isinstance(python, Estimate):
            return abs(go.size - python.size) <= ESTIMATE * max(go.size, python.size)
        return type(go) is type(python) and go == python

    def slack_s(self, instant: Instant) -> float:
        """Return the seconds by which two instants of this kind may differ."""
        window_s = self.window_s + CLOCK_S
        return math.ceil(window_s) if instant.whole else window_s


def differences(case: Case) -> list[Difference]:
    """Return all parts in which the sides differ."""
    return [*_between(case, case.go.atoms, case.python.atoms), *_answers(case)]


def _answers(case: Case) -> Iterator[Difference]:
    go = {("answer", part): atom for part, atom in parts(case.go_answer)}
    python = {("answer", part): atom for part, atom in parts(case.python_answer)}
    return _between(case, go, python)


def _between(
    case: Case, go: Mapping[Path, Atom], python: Mapping[Path, Atom]
) -> Iterator[Difference]:
    for path in sorted(go.keys() | python.keys()):
        left, right = go.get(path, NOTHING), python.get(path, NOTHING)
        if not case.alike(left, right):
            yield Difference(path, left, right)
