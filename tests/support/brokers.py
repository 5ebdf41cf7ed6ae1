"""Brokers of each kind, for tests of the layers above that run on all of them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pyasynq import Clock
from pyasynq.broker import Broker, open_broker
from pyasynq.broker.sqlite import in_memory
from tests.support.key_audit import audit_keys
from tests.support.servers import RedisServer

KINDS = ("redis", "sqlite")


@asynccontextmanager
async def broker_of(kind: str, server: RedisServer, clock: Clock) -> AsyncGenerator[Broker]:
    """Open a broker of *kind* that is empty: on *server*, or on SQLite in memory.

    SQLite tells the time by *clock*, Redis by its own. At the end, check that all keys are known.
    """
    if kind == "sqlite":
        broker = in_memory(clock)
        yield broker
        await broker.aclose()
        return
    with audit_keys(server):
        broker = open_broker(server.url)
        yield broker
        await broker.aclose()
