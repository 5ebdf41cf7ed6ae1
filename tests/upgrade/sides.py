"""Versions of the library, each in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VERSIONS = [
    line
    for line in (Path(__file__).parent / "versions").read_text().split("\n")
    if line and not line.startswith("#")
]


class RefusedError(Exception):
    """The library raised an error of its own."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        super().__init__(f"{name}: {text}")


class Side:
    """A process that runs `tests.upgrade.peer` with one version.

    Attributes:
        is_today: Whether it is today's version.
    """

    def __init__(self, python: Path, redis_url: str) -> None:
        """Start the process with *python*, whose packages decide the version."""
        self.is_today = python == TODAY
        self._process = subprocess.Popen(
            [python, "-m", "tests.upgrade.peer", redis_url],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __getattr__(self, command: str) -> Callable[..., Any]:
        """Return a function that sends *command* and returns its answer."""

        def ask(*arguments: object, **named: object) -> object:
            return self._ask(command, arguments, named)

        return ask

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def freeze(self) -> None:
        """Suspend the process."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the process."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, command: str, arguments: object, named: object) -> object:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([command, arguments, named]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the process ended at {command!r}: see what it wrote to stderr"
        answer = json.loads(line)
        if "error" in answer:
            raise RefusedError(answer["error"], answer["text"])
        return answer["answer"]


class Sides:
    """One process for each version; tests share them, because a start takes longer than a test."""

    def __init__(self, redis_url: str) -> None:
        """Use the Redis at *redis_url* in all processes."""
        self._redis_url = redis_url
        self._sides: dict[Path, Side] = {}

    @contextmanager
    def borrow(self, python: Path) -> Generator[Side]:
        """Yield the process of *python* in its initial state."""
        if python not in self._sides or not self._sides[python].is_alive:
            self._sides[python] = Side(python, self._redis_url)
        side = self._sides[python]
        yield side
        if side.is_alive:
            side.reset()
        else:
            side.kill()

    def close(self) -> None:
        """End all processes."""
        for side in self._sides.values():
            side.kill()


CALL = (7, ["a", "é"], {"b": 1.5, "a": [None, True, {"ß": "ü"}], "": 10**15})
"""Arguments for the typed task, with each type of JSON; the keys are not sorted."""

TODAY = Path(sys.executable)
