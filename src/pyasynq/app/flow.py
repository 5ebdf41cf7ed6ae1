"""Flows of an app, and typed results."""

from datetime import timedelta
from typing import Any, TypeVar, Unpack, overload

from pyasynq.app.clients import Clients
from pyasynq.app.results import Results
from pyasynq.app.typed_task import TypedTask
from pyasynq.client.flow import Flow, Step
from pyasynq.client.flow_options import FlowOptions
from pyasynq.core.call import Call
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.task import Task
from pyasynq.runtime.calls import must_await

R = TypeVar("R")


class AppFlow(Flow):
    """A flow that the clients of its app enqueue; see `Flow`."""

    def __init__(self, clients: Clients, name: str, **options: Unpack[FlowOptions]) -> None:
        """Make a flow without steps; see `Flow`.

        Raises:
            OptionError: If an option is not allowed.
        """
        super().__init__(name, **options)
        self._clients = clients

    @must_await
    async def enqueue(self) -> FlowInfo:
        """Enqueue the flow with the app's client; see `Client.enqueue_flow` for its errors."""
        return await self._clients.current().enqueue_flow(self)

    def enqueue_sync(self) -> FlowInfo:
        """Enqueue the flow from code without ``await``; see `TypedTask.enqueue_sync`."""
        return self._clients.enqueue_flow_sync(self)


class FlowMethods:
    """The part of an app that makes flows and reads results.

    Attributes:
        clients: The open clients.
        tasks: The declared tasks, by type.
    """

    clients: Clients
    tasks: dict[str, TypedTask[..., Any]]

    def flow(self, name: str, **options: Unpack[FlowOptions]) -> AppFlow:
        """Return a flow without steps, which ``await flow.enqueue()`` enqueues; see `Flow`.

        Args:
            name: Its name, for operators.
            **options: See `FlowOptions`.

        Raises:
            OptionError: If an option is not allowed.
            TypeError: If an option is unknown.
        """
        return AppFlow(self.clients, name, **options)

    def chain(
        self, *tasks: Task | Flow, name: str = "chain", **options: Unpack[FlowOptions]
    ) -> AppFlow:
        """Return a flow that runs *tasks* one after another, each if the one before has succeeded.

        One of them may be a flow; see `Flow.add`.

        Raises:
            OptionError: If a task or an option is not allowed.
            TypeError: If an option is unknown.
        """
        flow = self.flow(name, **options)
        last: Step[Any] | None = None
        for task in tasks:
            last = flow.add(task, after=() if last is None else last)
        return flow

    @overload
    async def result(
        self,
        target: Call[R] | Step[R],
        *,
        queue: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
    ) -> R: ...
    @overload
    async def result(
        self,
        target: str,
        *,
        queue: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
    ) -> object: ...
    async def result(
        self,
        target: Call[Any] | Step[Any] | str,
        *,
        queue: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
    ) -> object:
        """Wait until a task has succeeded and return its result, as the function returned it.

        Args:
            target: A call with a *task_id*, or the id of a task; both were enqueued, and have a
                *retention*. Or a step of a flow that was enqueued; it needs no retention.
            queue: Queue of the task; that of the call, or ``default``, if not given.
            timeout: Longest wait; None waits until the task ends.

        Raises:
            TaskFailedError: If the task was archived, or the step was not run.
            ResultExpiredError: If the task was deleted.
            FlowNotFoundError: If the flow does not exist, or is no longer kept.
            StepNotFoundError: If another flow, without this step, was stored with its id before.
            TimeoutError: If it has not ended in time.
            OptionError: If the call has no id, or an argument is not allowed.
            msgspec.ValidationError: If the result does not fit the type that the function declares.
            CodecError: If the result is sealed and cannot be opened here.
        """
        return await Results(self.tasks).wait(self.clients.current(), target, queue, timeout)
