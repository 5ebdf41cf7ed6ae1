"""Run a command in this process."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from pyasynq.cli import main


@dataclass(frozen=True, slots=True)
class Told:
    """How a command went."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - any document
        """What was printed, as JSON."""
        return msgspec.json.decode(self.out)

    @property
    def lines(self) -> list[list[str]]:
        """The lines that were printed, as words."""
        return [line.split() for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class Say:
    """Runs commands."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Told:
        """Run ``pyasynq`` with *words*."""
        self.capsys.readouterr()
        code = main(words)
        out, err = self.capsys.readouterr()
        return Told(code, out, err)


def where(rows: list[Mapping[str, Any]], **wanted: object) -> list[Mapping[str, Any]]:
    """Return the rows that have these members."""
    return [row for row in rows if wanted.items() <= row.items()]
