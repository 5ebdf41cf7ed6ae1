"""Stands for stdin, stdout or stderr at a terminal."""

import io


class Terminal(io.StringIO):
    """Text that a person types, or that is printed at a terminal."""

    def isatty(self) -> bool:
        """Return True, as a terminal does."""
        return True
