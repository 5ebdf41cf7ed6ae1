"""A relay for the tests of the command line."""

import os

from sqlalchemy.ext.asyncio import create_async_engine

from pyasynq import Client
from pyasynq.outbox import Outbox, Relay

outbox = Outbox()
relay = Relay(
    outbox,
    create_async_engine(os.environ.get("TEST_DATABASE", "sqlite+aiosqlite://")),
    Client(os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")),
)
