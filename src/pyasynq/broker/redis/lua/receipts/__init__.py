"""Receipts of an outbox's rows."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

expire_receipts: Final = Script("receipts/expire_receipts", repeatable=True)
