"""What a forked child must not share with its parent."""

import os
from typing import Protocol
from weakref import WeakSet


class ForkAware(Protocol):
    """Something that a forked child has, and must not use as it is."""

    def forked(self) -> None:
        """Let go, in the child, of what is the parent's."""
        ...


_inherited: "WeakSet[ForkAware]" = WeakSet()
"""Of one hook for all: the system's own can never be taken back."""


def notify_on_fork(thing: ForkAware) -> None:
    """Have *thing* told in every child that this process forks, as long as it lives."""
    _inherited.add(thing)


def _tell() -> None:
    for thing in list(_inherited):
        thing.forked()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_tell)
