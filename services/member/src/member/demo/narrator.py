"""The voice of the demo: what happened, when, and the facts."""

import time
from unicodedata import east_asian_width

COLUMNS = 100


class Narrator:
    """Tells acts and steps, with the time since the start."""

    def __init__(self) -> None:
        """Start the watch."""
        self._start = time.monotonic()

    def open(self, act: str) -> None:
        """Tell that an act begins."""
        _print(f"\n{act}")

    def say(self, what: str, **facts: object) -> None:
        """Tell one step and its facts."""
        _print(f"{time.monotonic() - self._start:6.1f} s  {what}")
        for name, fact in facts.items():
            _print(f"{'':10}{name.replace('_', ' '):>12}: {fact}")


def _print(line: str) -> None:
    print(_clipped(line), flush=True)  # noqa: T201


def _clipped(line: str) -> str:
    """Return *line*, its end left out where it is wider than a terminal."""
    kept = line
    while _width(kept) > COLUMNS:
        kept = f"{kept[:-2]}…"
    return kept


def _width(line: str) -> int:
    """Return the columns of *line*; Chinese characters take two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in line)
