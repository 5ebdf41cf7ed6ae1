"""The audit: who did what to queues and tasks by hand."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One action of an operator.

    Attributes:
        at: When; None if that is not known.
        principal: Name of the person or program.
        role: Its role.
        action: What was done, such as ``task.delete``.
        target: To what: queues, tasks, or a search line.
        count: Number of tasks or queues that were changed.
        outcome: ``begun``, ``done``, ``stopped``, ``failed`` or ``refused``; ``unreadable`` if the
            entry cannot be decoded.
        detail: More about it, in words; may be empty.
    """

    at: datetime | None
    principal: str
    role: str
    action: str
    target: str
    count: int
    outcome: str
    detail: str = ""


def decode_entry(record: bytes) -> AuditEntry:
    """Return the entry that *record* holds.

    Another version may have written it, or a person by hand: the other entries stay readable.
    """
    try:
        return msgspec.json.decode(record, type=AuditEntry)
    except (msgspec.DecodeError, UnicodeError) as error:  # also a value of a wrong type
        return AuditEntry(
            at=None,
            principal="",
            role="",
            action="",
            target="",
            count=0,
            outcome="unreadable",
            detail=f"this entry cannot be decoded: {error}",
        )


class AuditPort(Protocol):
    """Keeps the last `MAX_AUDIT` actions of operators."""

    async def write(self, entry: AuditEntry) -> None:
        """Write one action."""
        ...

    async def read(self, before: str | None, count: int) -> Sequence[tuple[str, AuditEntry]]:
        """Return up to *count* actions with their ids, the newest first.

        Args:
            before: Id of an action: only older ones are returned; None for all.
            count: At least 1.
        """
        ...
