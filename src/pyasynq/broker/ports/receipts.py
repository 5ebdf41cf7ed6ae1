"""The receipts of an outbox's rows."""

from collections.abc import Sequence
from typing import Protocol


class ReceiptPort(Protocol):
    """The receipts that the broker stores for a `Receipt`, together with the task of its row."""

    async def expire(self, rows: Sequence[tuple[str, str]], *, ttl_s: int) -> None:
        """Let the receipts of *rows* (queue and row id) expire *ttl_s* seconds from now."""
        ...
