"""A Python server at work, with scripted outcomes."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import anyio
from redis.asyncio import Redis

from pyasynq import ActiveTask, Server, SkipRetry, Task
from pyasynq.core.control import RevokeTask
from pyasynq.core.verdict import error_text
from tests.differential import operations as ops
from tests.differential.operations import Outcome, Outcomes
from tests.differential.sides import Failed, Report, Seen

PATIENCE: Final = 10
OTHER_DELAY: Final = timedelta(seconds=5000)
"""How long a task waits whose error was not ordered, as in the Go program."""


class Told(Exception):
    """The error of an outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text.removeprefix("Told: "))
        self.outcome = outcome


@dataclass
class Shift:
    """A server at work, and what its handlers have seen."""

    order: ops.Working
    outcomes: Outcomes
    released: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[Seen] = field(default_factory=list[Seen])
    failed: list[Failed] = field(default_factory=list[Failed])
    _known: set[str] = field(default_factory=set[str])
    _all: asyncio.Event = field(default_factory=asyncio.Event)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def enter(self, driver: Redis) -> None:
        """Start the server, and return when it has taken what it was ordered to."""
        self.server = Server(
            driver,
            queues={self.order.queue: 1},
            concurrency=self.order.concurrency,
            retry_delay=_delay,
            is_failure=lambda error: (
                not (isinstance(error, Told) and error.outcome.kind == "spare")
            ),
            on_error=self._on_error,
            shutdown_timeout=timedelta(seconds=PATIENCE),
            blocked_warning=timedelta(0),
        )
        await self._stack.enter_async_context(self.server.running(self._handle))
        with anyio.fail_after(PATIENCE):
            if self.order.count:
                await self._all.wait()
            else:
                actors = self.server._actors
                assert actors is not None
                await actors.wait_until_empty()

    async def leave(self, *, on_cancel: bool = False) -> None:
        """Shut the server down."""
        if on_cancel:
            self.server._service.force_requested.set()
        await self._stack.aclose()

    def report(self) -> Report:
        """Return what the handlers have seen so far."""
        return Report(seen=tuple(self.seen), failed=tuple(self.failed))

    async def _handle(self, task: ActiveTask) -> None:
        self.seen.append(
            Seen(
                id=task.id,
                type=task.type,
                payload=task.payload or None,
                headers=dict(task.headers),
                queue=task.queue,
                retried=task.retried,
                max_retry=task.max_retry,
                deadline=task.deadline,
            )
        )
        self._note(task.id)
        await self.released.wait()
        told = self.outcomes[task.id]
        if told.result is not None:
            await task.write_result(told.result)
        _end(told)

    async def _on_error(self, task: ActiveTask, error: Exception) -> None:
        self.failed.append(Failed(id=task.id, text=error_text(error)))
        self._note(task.id)

    def _note(self, task_id: str) -> None:
        """Count a task; with the last one the server takes no more."""
        self._known.add(task_id)
        if len(self._known) == self.order.count:
            self.server.stop()
            self._all.set()


def _end(told: Outcome) -> None:
    match told.kind:
        case "ok":
            return
        case "skip":
            raise SkipRetry(told.text)
        case "revoke":
            raise RevokeTask(told.text)
        case _:
            raise Told(told)


def _delay(_retried: int, error: Exception, _task: Task) -> timedelta:
    return timedelta(seconds=error.outcome.delay) if isinstance(error, Told) else OTHER_DELAY
