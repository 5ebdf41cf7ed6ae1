"""Create tasks all together, or none of them."""

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from typing import Final

from pyasynq.broker import BatchPort, BatchRef
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError
from pyasynq.core.policy import MAX_BULK
from pyasynq.runtime.cleanup import run_to_end
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.client")


class Staging:
    """Tasks that are staged in their queues until all are there."""

    def __init__(self, port: BatchPort, batch_id: str) -> None:
        """Stage tasks through *port*, under the id *batch_id*."""
        self._port = port
        self._id = batch_id
        self._counts: dict[BatchRef, int] = {}
        self._home = ""

    async def add(self, plans: Sequence[Plan]) -> None:
        """Stage *plans*.

        Raises:
            PyasynqError: If one of them is refused, or the broker fails.
        """
        by_queue: dict[str, list[Plan]] = {}
        for plan in plans:
            by_queue.setdefault(plan.message.queue, []).append(plan)
        for queue, some in by_queue.items():
            self._home = self._home or queue
            batch = BatchRef(queue=queue, id=self._id, home=self._home)
            first = self._counts.setdefault(batch, 0)
            await self._port.stage(batch, some, first=first)
            self._counts[batch] = first + len(some)

    async def commit(self) -> None:
        """Decide that all of them run; the first queue decides for the others."""
        batches = [*self._counts]
        for batch in batches[1:]:  # they must be there once the first has decided
            await self._port.stage(batch, [], first=self._counts[batch])
        if batches:
            await self._port.commit([*self._counts.items()])

    async def release(self) -> None:
        """Give all of them to the workers; if the broker fails now, a server does it later."""
        try:
            for batch in self._counts:
                while await self._port.release(batch) == MAX_BULK:
                    pass
        except BrokerError as error:
            log.warning("tasks were created together; servers release them later: %s", error)

    async def discard(self) -> bool:
        """Delete all of them; return False if they were to run already.

        What the broker cannot delete now, a server deletes later.
        """
        try:
            for batch in self._counts:  # the home first
                if not await self._port.discard(batch):
                    return False
        except BrokerError as error:
            log.warning("staged tasks are left behind; servers delete them later: %s", error)
        return True


async def create_together(
    port: BatchPort, batch_id: str, chunks: AsyncIterator[Sequence[Plan]]
) -> list[str]:
    """Create the tasks of all *chunks*, or none of them; return their ids.

    While the broker works on a chunk, the next one is composed.

    Raises:
        PyasynqError: If one is refused, or the broker fails. In the second case they may be created
            nevertheless, all of them.
        Exception: What *chunks* raises.
    """
    staging = Staging(port, batch_id)
    ids: list[str] = []
    writing: asyncio.Task[None] | None = None
    try:
        async for plans in chunks:
            if writing is not None:
                await asyncio.shield(writing)  # what it writes must be there to be undone
            ids += [plan.message.id for plan in plans]
            writing = asyncio.create_task(staging.add(plans))
            await asyncio.sleep(0)  # sends it
        if writing is not None:
            await asyncio.shield(writing)
        await staging.commit()
    except BaseException as error:
        undone = await run_to_end(functools.partial(_undo, staging, writing))
        if undone or not isinstance(error, BrokerError):
            raise
    await staging.release()
    return ids


async def _undo(staging: Staging, writing: asyncio.Task[None] | None) -> bool:
    """Discard what is staged once *writing* has ended; return whether none of it runs."""
    if writing is not None:
        await asyncio.wait([writing])
        writing.exception()  # the caller raises it, or an error that came before
    return await staging.discard()
