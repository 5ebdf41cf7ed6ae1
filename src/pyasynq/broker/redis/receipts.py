"""The receipts of an outbox's rows; the script `create` writes them."""

from collections.abc import Sequence

from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.lua import receipts as scripts


class RedisReceipts:
    """The port for receipts."""

    def __init__(self, driver: Driver) -> None:
        """Send calls over *driver*."""
        self._driver = driver

    async def expire(self, rows: Sequence[tuple[str, str]], *, ttl_s: int) -> None:
        """Let the receipts of *rows* (queue and row id) expire *ttl_s* seconds from now."""
        batches = pipeline.batches(queue for queue, _ in rows)
        calls = [
            scripts.expire_receipts(
                [rows[index][1] for index in indexes],
                receipt_prefix=keys.receipt(rows[indexes[0]][0]),
                ttl_s=ttl_s,
            )
            for indexes in batches
        ]
        pipeline.raise_first(await pipeline.run_all(self._driver, calls))
