"""Read the database of the service while it runs."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

# Rows leave the outbox within milliseconds, too fast for polling; triggers miss none.
_WATCH = """
CREATE TABLE demo_outbox (id TEXT PRIMARY KEY, written_at TEXT NOT NULL, deleted_at TEXT);
CREATE TRIGGER demo_written AFTER INSERT ON pyasynq_outbox BEGIN
  INSERT INTO demo_outbox (id, written_at) VALUES (NEW.id, strftime('%Y-%m-%dT%H:%M:%f', 'now'));
END;
CREATE TRIGGER demo_deleted AFTER DELETE ON pyasynq_outbox BEGIN
  UPDATE demo_outbox SET deleted_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') WHERE id = OLD.id;
END;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A row of the outbox."""

    id: str
    queue: str
    type: str


class MemberDatabase:
    """The SQLite file of the service."""

    def __init__(self, file: Path) -> None:
        """Read *file*, once the service has created it."""
        self.file = file

    def watch_outbox(self) -> None:
        """Record from now on when rows enter the outbox and leave it."""
        with self._connect() as database:
            database.executescript(_WATCH)

    def stay(self, row_id: str) -> timedelta | None:
        """Return how long a row was in the outbox; None until it has left."""
        query = "SELECT written_at, deleted_at FROM demo_outbox WHERE id = ?"
        written_at, deleted_at = self._one(query, row_id) or (None, None)
        if written_at is None or deleted_at is None:
            return None
        return datetime.fromisoformat(deleted_at) - datetime.fromisoformat(written_at)

    def waiting(self, row_id: str) -> Waiting | None:
        """Return a row of the outbox; None if it is not there now."""
        found = self._one("SELECT id, queue, type FROM pyasynq_outbox WHERE id = ?", row_id)
        return Waiting(id=found[0], queue=found[1], type=found[2]) if found else None

    def verified_at(self, membername: str) -> str | None:
        """Return when the address was verified; None until then."""
        query = "SELECT email_verified_at FROM members WHERE membername = ?"
        return (self._one(query, membername) or (None,))[0]

    def _one(self, query: str, key: str) -> tuple[str, ...] | None:
        with self._connect() as database:
            return database.execute(query, (key,)).fetchone()

    @contextmanager
    def _connect(self) -> Generator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"file:{self.file}?mode=rw", uri=True)) as database:
            yield database
