"""What a peer must implement to be measured.

A module of `benchmarks.peers` has a function ``connect(address)``, which takes
``host:port`` of a Redis, or the path of a SQLite file, and returns an `AsyncPeer`
or a `ThreadPeer`. If the library has a bulk call, the peer also implements
`AsyncBulk` or `ThreadBulk`. Its handler only calls `benchmarks.tally.record_task`.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable


@runtime_checkable
class AsyncPeer(Protocol):
    """A library for asyncio."""

    def session(self) -> AbstractAsyncContextManager[object]:
        """Open the connections that `enqueue` needs."""

    async def enqueue(self, payload: str) -> object:
        """Enqueue one task and wait until it is stored."""

    async def work(self, concurrency: int) -> object:
        """Handle tasks until the process is ended."""


class ThreadPeer(Protocol):
    """A library that blocks its caller."""

    def enqueue(self, payload: str) -> object:
        """Enqueue one task and wait until it is stored."""

    def work(self, concurrency: int) -> object:
        """Handle tasks until the process is ended."""


@runtime_checkable
class AsyncBulk(Protocol):
    """A library for asyncio that enqueues many tasks in one call."""

    async def enqueue_many(self, payloads: Sequence[str]) -> object:
        """Enqueue one task for each payload."""


@runtime_checkable
class ThreadBulk(Protocol):
    """A library that blocks, and enqueues many tasks in one call."""

    def enqueue_many(self, payloads: Sequence[str]) -> object:
        """Enqueue one task for each payload."""
