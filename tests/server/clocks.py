"""Clocks that tests set."""

from pyasynq import Clock


class Adjustable(Clock):
    """A clock that a test sets forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        """Return the time, ahead of the machine's."""
        return super().monotonic() + self.ahead_s
