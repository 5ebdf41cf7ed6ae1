"""One style of mistakes for all commands: the usage of the command, then one line."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn

_ONE_LINE: Final = 10_000
"""So many columns that argparse breaks no usage."""


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations and reports mistakes in its own name."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - argparse's own settings
        """Make a parser with argparse's *settings*."""
        super().__init__(allow_abbrev=False, **settings)
        # What begins like a number, -5s for instance, is a value and not an option.
        self._negative_number_matcher = re.compile(r"-\.?\d")

    def parse_known_args(  # type: ignore[override]  # one of argparse's many signatures
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,  # noqa: ANN401
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; the parser of a command refuses what it does not know, not the one above it."""
        words, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown: {' '.join(unknown)}")
        words.parsed_by = getattr(words, "parsed_by", self)  # a command's own comes first
        return words, unknown

    def error(self, message: str) -> NoReturn:
        """Say what is wrong on stderr and end with the exit code for that."""
        self.exit(2, f"{self._short_usage()}{self.prog}: {message}\n")

    def _short_usage(self) -> str:
        """Return the usage in one line: what must be given; ``-h`` shows the rest."""
        if self.usage:
            return self.format_usage()
        formatter = argparse.HelpFormatter(f"{self.prog} [options]", width=_ONE_LINE)
        formatter.add_usage(None, [action for action in self._actions if action.required], [])
        return f"{formatter.format_help().strip()}\n"
