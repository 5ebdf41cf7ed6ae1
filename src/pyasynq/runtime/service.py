"""The life of what is made of actors: new → active → (stopped) → closed."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeAlias

from pyasynq.runtime.actor import Actor, Runnable, cancel_and_wait, run_forever
from pyasynq.runtime.cleanup import run_to_end

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Service:
    """A server, a scheduler or a relay: has actors work, once, and ends in order.

    Attributes:
        state: ``new``, ``active``, ``stopped`` (works, but begins nothing more) or ``closed``.
        told: Set once it is to end.
        hurry: Set once what is under way is no longer to be waited for.
        jobs: The actors, and the asyncio task of each.
    """

    def __init__(self) -> None:
        """Begin as new."""
        self.state: str = "new"
        self.told: asyncio.Event = asyncio.Event()
        self.on_cancel: asyncio.Event = asyncio.Event()
        self.jobs: dict[Runnable, asyncio.Task[None]] = {}

    def check_new(self, error: Callable[[str], Exception]) -> None:
        """Raise *error*, made from the state, unless nothing has run yet."""
        if self.state != "new":
            raise error(self.state)

    def shut_down(self) -> None:
        """Set `told`; called again, set `hurry`."""
        if self.told.is_set():
            self.on_cancel.set()
        self.told.set()

    @asynccontextmanager
    async def running(
        self,
        actors: Sequence[Runnable],
        *,
        drain: Work,
        leave: Work | None = None,
        within: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    ) -> AsyncGenerator[None]:
        """Keep *actors* working while the block runs.

        Whatever ends the block, *drain* lets end what is under way, while they still work; once
        none of them does *leave* lets go of the rest. Both may be begun again: see `run_to_end`.
        """
        self.state = "active"
        failure: BaseException | None = None
        try:
            async with within(), asyncio.TaskGroup() as group:
                for actor in actors:
                    self.jobs[actor] = group.create_task(run_forever(actor), name=actor.name)
                try:
                    yield
                except BaseException as error:  # noqa: BLE001 - raised again once all is in order
                    failure = error  # inside the group it would come out as an ExceptionGroup
                self.state = "closed"
                await run_to_end(functools.partial(self._end, drain), on_cancel=self.on_cancel.set)
        finally:
            await run_to_end(functools.partial(_leave, actors, leave))
        if failure is not None:
            raise failure

    async def _end(self, drain: Work) -> None:
        await drain()
        await cancel_and_wait(self.jobs.values())


async def _leave(actors: Sequence[Runnable], leave: Work | None) -> None:
    for actor in actors:
        if isinstance(actor, Actor):
            actor.close()
    if leave is not None:
        await leave()
