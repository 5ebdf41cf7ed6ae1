"""The audit: a stream with a limit."""

from collections.abc import Sequence
from typing import Final, cast

import msgspec

from pyasynq.broker.ports.audit import AuditEntry, decode_entry
from pyasynq.broker.redis import shared_keys
from pyasynq.broker.redis.connection import Driver, execute
from pyasynq.core.policy import MAX_AUDIT

FIELD: Final = "entry"


class RedisAudit:
    """The port for the audit."""

    def __init__(self, driver: Driver) -> None:
        """Send calls over *driver*."""
        self._driver = driver

    async def write(self, entry: AuditEntry) -> None:
        """Write one action; Redis removes old ones a hundred at a time."""
        command = ("XADD", shared_keys.AUDIT, "MAXLEN", "~", MAX_AUDIT, "*", FIELD)
        await execute(self._driver, *command, msgspec.json.encode(entry), once=True)

    async def read(self, before: str | None, count: int) -> Sequence[tuple[str, AuditEntry]]:
        """Return up to *count* actions with their ids, the newest first."""
        newest = "+" if before is None else f"({before}"
        reply = await execute(
            self._driver, "XREVRANGE", shared_keys.AUDIT, newest, "-", "COUNT", count
        )
        entries: list[tuple[str, AuditEntry]] = []
        for entry_id, fields in cast("list[tuple[bytes, object]]", reply):
            record = cast("dict[bytes, bytes]", fields).get(FIELD.encode(), b"")
            entries.append((entry_id.decode(), decode_entry(record)))
        return entries
