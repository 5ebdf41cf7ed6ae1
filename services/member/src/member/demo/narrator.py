"""The output of the demo: what happened, when, and the facts."""

import time
from unicodedata import east_asian_width

COLUMNS = 100


class Narrator:
    """Prints acts and steps, with the time since the start."""

    def __init__(self) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def open(self, act: str) -> None:
        """Print the title of an act."""
        _print(f"\n{act}")

    def say(self, what: str, **facts: object) -> None:
        """Print one step and its facts."""
        _print(f"{time.monotonic() - self._start:6.1f} s  {what}")
        for name, fact in facts.items():
            _print(f"{'':10}{name.replace('_', ' '):>12}: {fact}")


def _print(line: str) -> None:
    print(_clip(line), flush=True)  # noqa: T201


def _clip(line: str) -> str:
    """Return *line*, cut at the end if it is wider than a terminal."""
    clipped = line
    while _width(clipped) > COLUMNS:
        clipped = f"{clipped[:-2]}…"
    return clipped


def _width(line: str) -> int:
    """Return the columns of *line*; Chinese characters take two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in line)
