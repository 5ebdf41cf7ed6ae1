"""Answer requests for the result of a task, whatever the framework."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import msgspec

from pyasynq.app import TypedTask
from pyasynq.client import Client
from pyasynq.core.errors import OptionError, ResultExpiredError, TaskFailedError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import check_name
from pyasynq.core.states import ENDED, TaskState

JSON: Final = "application/json"

NO_RESULT: Final = b"null"

PERIOD: Final = timedelta(seconds=1)
"""Time between two looks at the state of a task whose changes are sent."""

SILENT_PERIODS: Final = 15
"""Periods without a change after which a comment is sent: proxies end silent connections."""

COMMENT: Final = b": the task has not ended\n\n"

FINAL_ID: Final = "end"
"""Id of the last event; a browser that connects again sends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer in HTTP.

    Attributes:
        status: Its status: 200 with the result, 202 if the task has not ended, 404 if there is no
            such task (any more), 500 if it was archived.
        body: JSON: the result, or an object with ``id`` and ``state`` of the task.
        headers: Its headers.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class AwaitedResult:
    """A result for which a request waits.

    Attributes:
        id: Id of the task.
        queue: Queue of the task.
    """

    def __init__(
        self, task: TypedTask[..., Any], info: TaskInfo | str, queue: str | None = None
    ) -> None:
        """Wait for the result of a call of *task*.

        Args:
            task: The task; a call of another task is as if it were not there.
            info: The call, as `enqueue` returned it, or its id.
            queue: The queue, if *info* is an id; None for that of *task*.

        Raises:
            OptionError: If the call has no *retention*, so that its result is not kept.
        """
        if isinstance(info, TaskInfo) and info.retention is None:
            allowed = f"a duration, for which the result of {task.type!r} is kept: see @app.task"
            raise OptionError("retention", None, allowed)
        self.id: str = info.id if isinstance(info, TaskInfo) else info
        self.queue: str = info.queue if isinstance(info, TaskInfo) else queue or task.queue
        self._task = task

    async def answer(self, client: Client, *, timeout: timedelta, later: str) -> Answer:  # noqa: ASYNC109
        """Wait for the result, at most *timeout*.

        Args:
            client: Reads it.
            timeout: Longest wait.
            later: Address at which to ask again.

        Raises:
            BrokerError: If the broker did not answer.
            CodecError: If the result is sealed and cannot be opened here.
        """
        info = await self._look(client)
        if info is not None and info.state not in ENDED:
            await self._wait(client, timeout)
            info = await self._look(client)
        if info is None:
            return self._answer(404, "unknown")
        if info.state is TaskState.ARCHIVED:
            return self._answer(500, info.state)
        if info.state is not TaskState.COMPLETED:
            headers = {"location": later, "retry-after": "1"}
            return self._answer(202, info.state, **headers)
        try:
            result = await client.result(self.id, queue=self.queue)
        except ResultExpiredError:
            return self._answer(404, "unknown")
        return Answer(status=200, body=result or NO_RESULT, headers={"cache-control": "no-store"})

    async def events(self, client: Client) -> AsyncGenerator[bytes]:
        """Yield server-sent events: ``state`` at each change, then ``result`` or ``failed``.

        Args:
            client: Reads the task, once a second.

        Raises:
            BrokerError: If the broker did not answer.
            CodecError: If the result is sealed and cannot be opened here.
        """
        before, silent = None, 0
        while (info := await self._look(client)) is not None:
            now = {"id": self.id, "state": info.state, "retried": info.retried}
            if info.state not in ENDED and now != before:
                before, silent = now, 0
                yield _event("state", msgspec.json.encode(now))
            try:
                result = await client.result(self.id, queue=self.queue, timeout=PERIOD)
            except TimeoutError:
                silent += 1
                if silent % SILENT_PERIODS == 0:
                    yield COMMENT
            except TaskFailedError:
                yield _event("failed", self._body(TaskState.ARCHIVED), FINAL_ID)
                return
            except ResultExpiredError:
                break
            else:
                yield _event("result", result or NO_RESULT, FINAL_ID)
                return
        yield _event("failed", self._body("unknown"), FINAL_ID)

    async def _wait(self, client: Client, timeout: timedelta) -> None:  # noqa: ASYNC109
        """Return when the task has ended, or after *timeout*."""
        with suppress(TimeoutError, TaskFailedError, ResultExpiredError):
            await client.result(self.id, queue=self.queue, timeout=timeout)

    async def _look(self, client: Client) -> TaskInfo | None:
        """Return the task; None if it is not there, or is a call of another task."""
        try:
            check_name("id", self.id)
        except OptionError:
            return None  # it came with a request, so it is no mistake of the program
        stored = await client.broker.inspection.task(self.queue, self.id)
        info = None if stored is None else stored.info
        return info if info is not None and info.type == self._task.type else None

    def _answer(self, status: int, state: str, **headers: str) -> Answer:
        headers["cache-control"] = "no-store"
        return Answer(status=status, body=self._body(state), headers=headers)

    def _body(self, state: str) -> bytes:
        return msgspec.json.encode({"id": self.id, "state": state})


def _event(name: str, data: bytes, event_id: str = "") -> bytes:
    head = f"event: {name}\n".encode() + (f"id: {event_id}\n".encode() if event_id else b"")
    return head + b"".join(b"data: %b\n" % line for line in data.splitlines()) + b"\n"
