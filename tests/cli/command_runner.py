"""Run a command in this process."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from pyasynq.cli import main


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - any document
        """The output, read as JSON."""
        return msgspec.json.decode(self.out)

    @property
    def lines(self) -> list[list[str]]:
        """The lines of the output, split at spaces."""
        return [line.split() for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class CommandRunner:
    """Runs commands."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *args: str) -> CommandResult:
        """Run ``pyasynq`` with *args*."""
        self.capsys.readouterr()
        code = main(args)
        out, err = self.capsys.readouterr()
        return CommandResult(code, out, err)
