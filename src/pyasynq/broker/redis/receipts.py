"""The receipts of an outbox's rows; `create` writes them."""

from collections.abc import Sequence

from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.lua import receipts as scripts


class RedisReceipts:
    """The port for receipts."""

    def __init__(self, driver: Driver) -> None:
        """Send to *driver*."""
        self._driver = driver

    async def expire(self, rows: Sequence[tuple[str, str]], *, ttl_s: int) -> None:
        """Let the receipts of *rows*, queue and id, end *kept_s* seconds from now."""
        batches = pipeline.batches(queue for queue, _ in rows)
        calls = [
            scripts.expire_receipts(
                [rows[place][1] for place in places],
                receipt_prefix=keys.receipt(rows[places[0]][0]),
                ttl_s=ttl_s,
            )
            for places in batches
        ]
        pipeline.raise_first(await pipeline.run_all(self._driver, calls))
