"""The notes that the tasks of `tests.e2e.apps.recording` have written."""

from pathlib import Path
from typing import NamedTuple


class Note(NamedTuple):
    """One line.

    Attributes:
        event: ``began`` or ``ended``.
        task_id: Id of the task.
        pid: Id of its process.
        at: Time of the event, Unix seconds.
    """

    event: str
    task_id: str
    pid: int
    at: float


class Recording:
    """A file of notes."""

    def __init__(self, file: Path, redis_url: str) -> None:
        """Read *file*."""
        self._file = file
        self._told = file.with_suffix(".told")
        self.environ = {
            "RECORDING_FILE": str(file),
            "RECORDING_REDIS": redis_url,
            "RECORDING_TOLD": str(self._told),
        }
        file.touch()

    def tell(self) -> None:
        """Let the tasks ``work until told`` end."""
        self._told.touch()

    def notes(self, event: str) -> list[Note]:
        """Return the notes of *event*, in order, without an unfinished line."""
        whole, _, _ = self._file.read_text().rpartition("\n")
        lines = [line.split() for line in whole.splitlines()]
        return [Note(e, i, int(pid), float(at)) for e, i, pid, at in lines if e == event]

    def ids(self, event: str) -> list[str]:
        """Return the ids of the tasks with *event*, sorted."""
        return sorted(note.task_id for note in self.notes(event))
