"""Objects that a forked child must not share with its parent."""

import os
from typing import Protocol
from weakref import WeakSet


class ForkAware(Protocol):
    """An object that a forked child inherits, but must not use before `after_fork`."""

    def after_fork(self) -> None:
        """Drop, in the child, what belongs to the parent."""
        ...


_registered: "WeakSet[ForkAware]" = WeakSet()
"""One hook serves all objects, because `os.register_at_fork` cannot be undone."""


def notify_on_fork(thing: ForkAware) -> None:
    """Call ``thing.after_fork()`` in every child that this process forks, while *thing* lives."""
    _registered.add(thing)


def _notify_all() -> None:
    for thing in list(_registered):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_notify_all)
