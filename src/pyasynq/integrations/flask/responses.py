"""A response that waits for the result of a task."""

from datetime import timedelta
from typing import Any

from flask import Response

from pyasynq.app import TypedTask
from pyasynq.core.info import TaskInfo
from pyasynq.integrations.results import JSON, AwaitedResult


def result_response(
    task: TypedTask[..., Any],
    info: TaskInfo | str,
    *,
    timeout: timedelta,
    later: str,
    queue: str | None = None,
) -> Response:
    """Wait for the result of a call of *task*, which needs a *retention*; return it as a response.

    The status is 200 with the result as JSON; 202 with ``Location`` and ``Retry-After`` if the task
    has not ended; 404 if there is no such task, or its result has expired; 500 if it was archived.

    Args:
        task: The task; the id of another task's call gives 404.
        info: The call, as `enqueue_sync` returned it, or its id.
        timeout: Longest wait; zero to look only. It keeps a thread or worker of the server busy.
        later: Address at which to ask again: that of a view which returns this response for the id.
        queue: The queue, if *info* is an id; None for that of *task*.

    Raises:
        OptionError: If the call has no *retention*.
        BrokerError: If the broker did not answer.
        CodecError: If the result is sealed and cannot be opened here.
    """
    awaited = AwaitedResult(task, info, queue)
    answer = task.clients.sync().call(
        lambda client: awaited.answer(client, timeout=timeout, later=later)
    )
    return Response(answer.body, answer.status, dict(answer.headers), content_type=JSON)
