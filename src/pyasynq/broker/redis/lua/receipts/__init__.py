"""Receipts of an outbox's rows."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

shorten: Final = Script("receipts/shorten", repeatable=True)
