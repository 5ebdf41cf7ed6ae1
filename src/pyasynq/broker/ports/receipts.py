"""The receipts of an outbox's rows."""

from collections.abc import Sequence
from typing import Protocol


class ReceiptPort(Protocol):
    """The receipts that a `Receipt` leaves beside the task of a row."""

    async def expire(self, rows: Sequence[tuple[str, str]], *, ttl_s: int) -> None:
        """Let the receipts of *rows*, queue and id, end *kept_s* seconds from now."""
        ...
