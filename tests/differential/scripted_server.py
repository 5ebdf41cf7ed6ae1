"""A Python server whose handlers have scripted outcomes."""

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
"""Delay after an error that is not scripted, as in the Go program."""


class ScriptedError(Exception):
    """The error of an outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text.removeprefix("ScriptedError: "))
        self.outcome = outcome


@dataclass
class ScriptedServer:
    """A running server, and what its handlers have seen."""

    operation: ops.Working
    outcomes: Outcomes
    released: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[Seen] = field(default_factory=list[Seen])
    failed: list[Failed] = field(default_factory=list[Failed])
    _known: set[str] = field(default_factory=set[str])
    _all: asyncio.Event = field(default_factory=asyncio.Event)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self, driver: Redis) -> None:
        """Start the server, and return when it has taken the tasks of the operation."""
        self.server = Server(
            driver,
            queues={self.operation.queue: 1},
            concurrency=self.operation.concurrency,
            retry_delay=_delay,
            is_failure=lambda error: (
                not (isinstance(error, ScriptedError) and error.outcome.kind == "spare")
            ),
            on_error=self._on_error,
            shutdown_timeout=timedelta(seconds=PATIENCE),
            blocked_warning=timedelta(0),
        )
        await self._stack.enter_async_context(self.server.running(self._handle))
        with anyio.fail_after(PATIENCE):
            if self.operation.count:
                await self._all.wait()
            else:
                actors = self.server._actors
                assert actors is not None
                await actors.wait_until_empty()

    async def shut_down(self, *, force: bool = False) -> None:
        """Shut the server down."""
        if force:
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
        outcome = self.outcomes[task.id]
        if outcome.result is not None:
            await task.write_result(outcome.result)
        _end(outcome)

    async def _on_error(self, task: ActiveTask, error: Exception) -> None:
        self.failed.append(Failed(id=task.id, text=error_text(error)))
        self._note(task.id)

    def _note(self, task_id: str) -> None:
        """Count a task; after the last one the server stops taking tasks."""
        self._known.add(task_id)
        if len(self._known) == self.operation.count:
            self.server.stop()
            self._all.set()


def _end(outcome: Outcome) -> None:
    match outcome.kind:
        case "ok":
            return
        case "skip":
            raise SkipRetry(outcome.text)
        case "revoke":
            raise RevokeTask(outcome.text)
        case _:
            raise ScriptedError(outcome)


def _delay(_retried: int, error: Exception, _task: Task) -> timedelta:
    return (
        timedelta(seconds=error.outcome.delay) if isinstance(error, ScriptedError) else OTHER_DELAY
    )
