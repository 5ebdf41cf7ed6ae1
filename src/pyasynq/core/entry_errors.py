"""Errors about entries of schedulers."""

from pyasynq.core.errors import PyasynqError


class _EntryError(PyasynqError):
    """An entry of schedulers is not in the required state.

    Attributes:
        entry_id: Id of the entry.
    """

    _says: str

    def __init__(self, entry_id: str) -> None:
        """Name the *entry_id*."""
        self.entry_id = entry_id
        super().__init__(self._says.format(repr(entry_id)))


class EntryNotFoundError(_EntryError):
    """The scheduler has no entry with this id."""

    _says = "no scheduler entry found: {}"


class EntryPausedError(_EntryError):
    """The entry is paused already."""

    _says = "scheduler entry {} is already paused"


class EntryNotPausedError(_EntryError):
    """The entry is not paused."""

    _says = "scheduler entry {} is not paused"


class EntryNotPausableError(_EntryError):
    """Only schedulers that obey no pause have the entry."""

    _says = (
        "scheduler entry {} cannot be paused: it has no scheduler that obeys a pause; those of Go "
        "and of earlier versions do not"
    )
