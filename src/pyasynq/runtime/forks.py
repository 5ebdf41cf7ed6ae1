"""Objects that a forked child must not share with its parent."""

import os
from typing import Final, Protocol
from weakref import WeakSet


class ForkAware(Protocol):
    """An object that a forked child inherits, but must not use before `after_fork`."""

    def after_fork(self) -> None:
        """Drop, in the child, what belongs to the parent."""
        ...


class Holdable(Protocol):
    """An object that no thread may use while this process forks."""

    def hold(self) -> None:
        """Wait until no thread uses it, and let none begin."""
        ...

    def release(self) -> None:
        """Let threads use it again, in the parent and in the child."""
        ...


_registered: "WeakSet[ForkAware]" = WeakSet()
"""One hook serves all objects, because `os.register_at_fork` cannot be undone."""

_holdable: "WeakSet[Holdable]" = WeakSet()

_held: Final[list[Holdable]] = []


def notify_on_fork(thing: ForkAware) -> None:
    """Call ``thing.after_fork()`` in every child that this process forks, while *thing* lives."""
    _registered.add(thing)


def hold_on_fork(thing: Holdable) -> None:
    """Hold *thing* during every fork of this process, while it lives."""
    _holdable.add(thing)


def _hold_all() -> None:
    for thing in list(_holdable):
        thing.hold()
        _held.append(thing)


def _release_all() -> None:
    while _held:
        _held.pop().release()


def _notify_all() -> None:
    _release_all()
    for thing in list(_registered):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(before=_hold_all, after_in_parent=_release_all, after_in_child=_notify_all)
