"""Responses that wait for the result of a task.

They wait while they are sent, in the event loop, so an endpoint may return them that is a ``def``.
"""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, Final

from starlette.background import BackgroundTask
from starlette.datastructures import URL, Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pyasynq.app import TypedTask
from pyasynq.core.errors import BrokerError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import check_timeout
from pyasynq.integrations.results import FINAL_ID, JSON, AwaitedResult
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.integrations")


class ResultResponse(Response):
    """The result of a task if it is there in time, else status 202 and an address to ask again.

    The status is 200 with the result as JSON; 202 with ``Location`` and ``Retry-After`` if the task
    has not ended; 404 if there is no such task, or its result has expired; 500 if it was archived.
    """

    media_type = JSON

    def __init__(
        self,
        task: TypedTask[..., Any],
        info: TaskInfo | str,
        *,
        timeout: timedelta,
        later: str | URL,
        queue: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        """Answer with the result of a call of *task*, which needs a *retention*.

        Args:
            task: The task; the id of another task's call gives 404.
            info: The call, as `enqueue` returned it, or its id.
            timeout: Longest wait; zero to look only.
            later: Address at which to ask again: that of an endpoint which returns this response
                for the id.
            queue: The queue, if *info* is an id; None for that of *task*.
            background: Runs after the response.

        Raises:
            OptionError: If the call has no *retention*, or *timeout* is not a timedelta.
        """
        super().__init__(background=background)
        self._awaited = AwaitedResult(task, info, queue)
        self._task = task
        self._timeout = check_timeout(timeout)
        self._later = str(later)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, and send the response.

        Raises:
            BrokerError: If the broker did not answer.
            CodecError: If the result is sealed and cannot be opened here.
        """
        client = self._task.clients.current()
        answer = await self._awaited.answer(client, timeout=self._timeout, later=self._later)
        self.status_code: int = answer.status
        self.body: bytes = answer.body
        self.headers.update({**answer.headers, "content-length": str(len(answer.body))})
        await super().__call__(scope, receive, send)


class ResultEvents(StreamingResponse):
    """The result of a task as server-sent events.

    The events are ``state`` at each change, with ``id``, ``state`` and ``retried`` as JSON; at the
    end ``result`` with the result as JSON, or ``failed`` with ``id`` and ``state``: ``archived``,
    or ``unknown`` if there is no such task (any more). A browser that connects again after the last
    event gets status 204, which makes it stop. If the broker does not answer, the stream ends
    without a last event, and the browser connects again.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        task: TypedTask[..., Any],
        info: TaskInfo | str,
        *,
        queue: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        """Send what happens to a call of *task*, which needs a *retention*.

        Args:
            task: The task; the id of another task's call is unknown.
            info: The call, as `enqueue` returned it, or its id.
            queue: The queue, if *info* is an id; None for that of *task*.
            background: Runs after the response.

        Raises:
            OptionError: If the call has no *retention*.
        """
        awaited = AwaitedResult(task, info, queue)

        async def events() -> AsyncGenerator[bytes]:
            try:
                async for event in awaited.events(task.clients.current()):
                    yield event
            except BrokerError as error:  # a status is sent already, so no handler could make one
                log.warning("events of task %s end, a browser asks again: %s", awaited.id, error)

        # nginx would keep events back until it has a buffer full of them.
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(events(), headers=headers, background=background)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until the task has ended, or the client has gone."""
        if Headers(scope=scope).get("last-event-id") == FINAL_ID:
            await Response(status_code=204)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
