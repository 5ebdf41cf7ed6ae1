"""Services, which consist of actors, and their states: new → active → (stopped) → closed."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeAlias

from pyasynq.runtime.actor import Actor, Runnable, cancel_and_wait, run_forever
from pyasynq.runtime.cleanup import run_to_end
from pyasynq.runtime.main_guard import check_main_is_guarded

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Service:
    """Runs the actors of a server, a scheduler or a relay, once, and stops them in order.

    Attributes:
        state: ``new``, ``active``, ``stopped`` (runs, but begins no new work) or ``closed``.
        stop_requested: Set when the service must stop.
        force_requested: Set when it must stop without waiting for running work.
        jobs: The actors, and the asyncio task of each.
    """

    def __init__(self) -> None:
        """Begin in the state ``new``."""
        self.state: str = "new"
        self.stop_requested: asyncio.Event = asyncio.Event()
        self.force_requested: asyncio.Event = asyncio.Event()
        self.jobs: dict[Runnable, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def check_new(self, error: Callable[[str], Exception]) -> None:
        """Raise *error*, called with the state, unless the state is ``new``."""
        if self.state != "new":
            raise error(self.state)

    def shut_down(self) -> None:
        """Set `stop_requested`; called again, set `force_requested`."""
        if self.stop_requested.is_set():
            self.force_requested.set()
        self.stop_requested.set()

    @asynccontextmanager
    async def running(
        self,
        actors: Sequence[Runnable],
        *,
        drain: Work,
        cleanup: Work | None = None,
        lifespan: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    ) -> AsyncGenerator[None]:
        """Run *actors* while the block runs.

        *drain* and *cleanup* are called however the block ends. Either may be called again if it is
        cancelled: see `run_to_end`.

        Args:
            actors: What to run; a crashed one starts again.
            drain: Waits for running work, while the actors still run.
            cleanup: Releases the rest, once no actor runs.
            lifespan: Makes a context that stays open until all actors have ended.

        Raises:
            RuntimeError: If a process for tasks imports the program that runs this.
        """
        check_main_is_guarded()
        self.state = "active"
        failure: BaseException | None = None
        try:
            async with lifespan(), asyncio.TaskGroup() as self._group:
                for actor in actors:
                    self.start(actor)
                try:
                    yield
                except BaseException as error:  # noqa: BLE001 - raised again at the end
                    failure = error  # raised here, the group would make it an ExceptionGroup
                self.state = "closed"
                await run_to_end(
                    functools.partial(self._drain_and_cancel, drain),
                    on_cancel=self.force_requested.set,
                )
        finally:
            await run_to_end(functools.partial(_close_all, {*actors, *self.jobs}, cleanup))
        if failure is not None:
            raise failure

    def start(self, actor: Runnable) -> None:
        """Run *actor* until `end`, or until the service ends; not at all if it ends already."""
        if self._group is not None and self.state != "closed":
            job = self._group.create_task(run_forever(actor), name=actor.name)
            self.jobs[actor] = job

    async def end(self, actors: Collection[Runnable]) -> None:
        """Cancel and close *actors*, which are no longer needed."""
        await cancel_and_wait([self.jobs.pop(actor) for actor in actors if actor in self.jobs])
        await _close_all(actors, None)

    async def _drain_and_cancel(self, drain: Work) -> None:
        await drain()
        await cancel_and_wait(self.jobs.values())


async def _close_all(actors: Collection[Runnable], cleanup: Work | None) -> None:
    for actor in actors:
        if isinstance(actor, Actor):
            actor.close()
    if cleanup is not None:
        await cleanup()
