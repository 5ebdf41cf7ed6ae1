"""Put tasks into queues."""

import asyncio
import functools
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, Self, Unpack, cast

from pyasynq.broker import Broker, BrokerAddress, NewTask, open_broker
from pyasynq.client.batching import Batcher
from pyasynq.client.flow import Flow, Step
from pyasynq.client.flow_control import FlowControl, home_and_id
from pyasynq.client.flow_writer import FlowWriter
from pyasynq.client.ids import new_ids
from pyasynq.client.middleware import ClientMiddleware, MiddlewareChain
from pyasynq.client.plans import CHUNK, Plans, check_iterable
from pyasynq.client.results import Results
from pyasynq.client.together import enqueue_batch, enqueue_together
from pyasynq.core.batch import Batch, BatchInfo
from pyasynq.core.codec import Codec, Codecs
from pyasynq.core.compose import Composed, Composer
from pyasynq.core.errors import ClientClosedError, OptionError, PyasynqError
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import EnqueueOptions, Options, check_all, check_count, merge
from pyasynq.core.policy import LARGEST_PAYLOAD
from pyasynq.core.task import Task, check_task
from pyasynq.runtime.calls import must_await
from pyasynq.runtime.cleanup import run_to_end
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loops import BoundLoop

MAX_PAYLOAD: Final = 1024 * 1024


class Client:
    """Puts tasks into queues; coroutines may share it.

    It belongs to the event loop in which it is opened (``async with``), or else to that of its
    first call. Calls from the loops of other threads are made in that loop while it runs.
    """

    def __init__(
        self,
        broker: BrokerAddress,
        *,
        max_payload: int = MAX_PAYLOAD,
        middleware: Sequence[ClientMiddleware] = (),
        codecs: Sequence[Codec] = (),
        clock: Clock | None = None,
    ) -> None:
        """Use *broker*; nothing is sent before the first call.

        Args:
            broker: A URL, a bare ``host:port``, a redis-py asyncio client, or an open broker; the
                last two stay yours to close.
            max_payload: Largest accepted payload, sealed and with headers, bytes.
            middleware: Called around each enqueued task as
                ``await middleware(task, options, call_next)``; the first is the outermost.
            codecs: Seal payloads, in this order, and open results.
            clock: Tells the time; a test may pass its own.

        Raises:
            OptionError: If the URL, the client or a codec cannot be used.
            TypeError: If a middleware cannot be called this way.
        """
        self._middleware = MiddlewareChain.of(middleware)
        self._codecs = Codecs(codecs)
        most = check_count("max_payload", max_payload, LARGEST_PAYLOAD)
        self._compose = Composer(self._codecs, max_payload=most).compose
        self._clock = clock or Clock()
        self._plans = Plans(self._compose, self._middleware, self._clock)
        self._broker: Broker = open_broker(broker, self._clock)
        self._batcher = Batcher(self._broker.creation)
        self._flows = FlowWriter(self._broker, self._middleware, self._compose, self._clock)
        self._results = Results(self._broker, self._codecs)
        self._bound_loop: BoundLoop | None = None
        self._closed = False

    @property
    def broker(self) -> Broker:
        """The broker, for the parts of pyasynq that share this client's connections."""
        return self._broker

    async def enqueue(self, task: Task, **options: Unpack[EnqueueOptions]) -> TaskInfo:
        """Enqueue *task*; the options of the call win over the task's own.

        Calls that are in flight together share a round trip.

        Raises:
            OptionError: If an option or the payload is not allowed; nothing was written.
            CodecError: If a codec cannot seal the payload; nothing was written.
            DuplicateTaskError: If another task holds the unique lock.
            TaskIDConflictError: If the queue holds a task with this id.
            BrokerError: If the broker did not answer. It may have accepted the task; a retry is
                safe if you set a *task_id*.
            ClientClosedError: After `aclose`.
            LoopError: If the client belongs to another loop, which cannot make the call.
            Exception: Any error of a middleware.
        """
        if (bound_loop := self._loop_elsewhere()) is not None:
            return await bound_loop.call(functools.partial(self.enqueue, task, **options))
        check_task(task)
        merged = merge(task.options, check_all(options))
        if self._middleware:
            return await self._middleware.enqueue(task, merged, self._place)
        return await self._place(task, merged)

    @must_await
    async def enqueue_many(
        self, tasks: Iterable[Task], **options: Unpack[EnqueueOptions]
    ) -> list[TaskInfo | PyasynqError]:
        """Enqueue *tasks* in batches, in order; the options of the call are added to each.

        Returns:
            For each task, in the given order, its info or the error that `enqueue` would raise. An
            error that is not of pyasynq becomes a `MiddlewareError`.

        Raises:
            OptionError: If an option of the call is not allowed, or *tasks* has something else than
                tasks; nothing was written.
            ClientClosedError: After `aclose`.
        """
        bound_loop = self._loop_elsewhere()
        shared = check_all(options)
        waiting = _check_tasks(tasks)
        if bound_loop is not None:
            return await bound_loop.call(functools.partial(self.enqueue_many, waiting, **options))
        if self._middleware:
            return await self._enqueue_each(waiting, shared)
        outcomes: list[TaskInfo | PyasynqError] = []
        infos: list[TaskInfo | PyasynqError] = []
        writing: asyncio.Task[list[PyasynqError | None]] | None = None
        for start in range(0, len(waiting), CHUNK):
            chunk = self._compose_chunk(waiting[start : start + CHUNK], shared)
            if writing is not None:
                outcomes += _outcomes(infos, await writing)
            writing = asyncio.create_task(self._write(chunk))
            await asyncio.sleep(0)  # sends it; the broker works while we go on
            infos = [one.info() if isinstance(one, Composed) else one for one in chunk]
        if writing is not None:
            outcomes += _outcomes(infos, await writing)
        return outcomes

    @must_await
    async def enqueue_flow(self, flow: Flow) -> FlowInfo:
        """Store *flow* and start its first steps, all in one step.

        A flow that is stored already is left as it is: after a `BrokerError` it is safe to try
        again. Client middleware is called for each step.

        Raises:
            OptionError: If it has no steps, or a task or all together are too large.
            DuplicateFlowError: If another flow of its name runs, and both have *unique_for*.
            CodecError: If a codec cannot seal a payload.
            BrokerError: If the broker did not answer. It may have stored the flow.
            NotSupportedError: If the broker has no flows.
            ClientClosedError: After `aclose`.
            Exception: Any error of a middleware.
        """
        if (bound_loop := self._loop_elsewhere()) is not None:
            return await bound_loop.call(functools.partial(self.enqueue_flow, flow))
        return await self._flows.enqueue(flow)

    @must_await
    async def signal(
        self, flow: FlowInfo | str, gate: str, value: object = None, *, queue: str | None = None
    ) -> None:
        """Let a flow go on that waits, or will wait, at *gate*.

        Args:
            flow: The flow, as `enqueue_flow` returned it (only queue and id are used), or its id.
            gate: Name of the gate.
            value: What the gate's `Step.result` is; it becomes JSON, up to 1 MiB.
            queue: The flow's home, if *flow* is an id; ``default`` if not given.

        Raises:
            OptionError: If the value is larger.
            FlowNotFoundError: If there is no such flow.
            StepNotFoundError: If it has no such gate.
            FlowStateError: If the gate has ended, or got its signal before.
            BrokerError: If the broker did not answer.
        """
        if (bound_loop := self._loop_elsewhere()) is not None:
            ask = functools.partial(self.signal, flow, gate, value, queue=queue)
            await bound_loop.call(ask)
            return
        home, flow_id = home_and_id(flow, queue)
        await FlowControl(self._broker).signal(home, flow_id, gate, value)

    @must_await
    async def enqueue_all(
        self, tasks: Iterable[Task], **options: Unpack[EnqueueOptions]
    ) -> list[str]:
        """Enqueue all *tasks*, or none of them; the options of the call are added to each.

        No worker takes one of them before all are stored; then they go to their queues in order, a
        thousand at a time. *tasks* may be a generator of any length: it is read in chunks. If this
        process dies, servers with these queues delete what it has stored, after an hour, or go on
        if all was stored.

        Returns:
            The ids of the tasks, in the given order.

        Raises:
            OptionError: If an option or a payload is not allowed, or *tasks* has something else
                than tasks.
            CodecError: If a codec cannot seal a payload.
            DuplicateTaskError: If another task holds a unique lock.
            TaskIDConflictError: If a queue holds a task with one of the ids.
            BrokerError: If the broker did not answer. It may have accepted all tasks.
            ClientClosedError: After `aclose`.
            Exception: Any error of a middleware, or of *tasks*.
        """
        if (bound_loop := self._loop_elsewhere()) is not None:
            return await bound_loop.call(functools.partial(self.enqueue_all, tasks, **options))
        plans = self._plans.chunks(tasks, check_all(options), new_ids)
        return await enqueue_together(self._broker.batches, plans)

    @must_await
    async def enqueue_batch(self, batch: Batch) -> BatchInfo:
        """Enqueue the tasks of *batch*, all or none, and what follows when all have ended.

        See `enqueue_all` for how, and for its errors. Client middleware is called for each task and
        for those that follow.

        Raises:
            OptionError: If something else than a batch is given, a member is for another queue than
                those before it, or has a *task_id* or a *group*.
        """
        if (bound_loop := self._loop_elsewhere()) is not None:
            return await bound_loop.call(functools.partial(self.enqueue_batch, batch))
        if not isinstance(batch, Batch):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("batch", batch, "a Batch (for tasks there is enqueue_all)")
        return await enqueue_batch(self._broker.batches, self._plans, batch)

    @must_await
    async def result(
        self,
        info: TaskInfo | Step[Any] | str,
        *,
        queue: str | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109
    ) -> bytes:
        """Wait until a task is completed and return its result; empty if its handler wrote none.

        A Python worker notifies the client at once; the result of a Go worker, and that of a step,
        is found within a second. The task needs a *retention*, unless it is a step; without one its
        result is deleted with the task. The calls that wait for tasks of a queue share one
        connection, up to 256 of them.

        Args:
            info: The task, as `enqueue` returned it (only queue and id are used), or its id; or a
                step of a flow that was enqueued.
            queue: The queue, if *info* is an id; ``default`` if not given.
            timeout: Longest wait; None waits until the task ends.

        Raises:
            TaskFailedError: If the task was archived, or the step was not run.
            ResultExpiredError: If the task was deleted.
            FlowNotFoundError: If the flow does not exist, or is no longer kept.
            StepNotFoundError: If another flow, without this step, was stored with its id before.
            TimeoutError: If the task has not ended in time.
            CodecError: If the result is sealed and cannot be opened here.
            OptionError: If *info* is something else, or *timeout* is not a timedelta.
        """
        if (bound_loop := self._loop_elsewhere()) is not None:
            ask = functools.partial(self.result, info, queue=queue, timeout=timeout)
            return await bound_loop.call(ask)
        return await self._results.wait(info, queue, timeout)

    async def ping(self) -> None:
        """Return when the broker answers and accepts writes; a replica does not accept them.

        Raises:
            BrokerError: If it does not answer, or accepts no writes.
        """
        bound_loop = self._loop_elsewhere()
        await (self._broker.ping() if bound_loop is None else bound_loop.call(self.ping))

    async def aclose(self) -> None:
        """Wait for the calls in flight and close the connections that this client opened."""
        if (bound_loop := self._other_loop()) is not None:
            await bound_loop.call(self.aclose)
            return
        self._closed = True
        await run_to_end(self._close)

    async def __aenter__(self) -> Self:
        """Belong to this event loop, even if another one makes the first call."""
        self._other_loop()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Close the client."""
        await self.aclose()

    async def _close(self) -> None:
        try:
            await self._batcher.drain()
        finally:
            await self._broker.aclose()

    def _loop_elsewhere(self) -> BoundLoop | None:
        """Return the loop in which the call must be made; None if it is this one."""
        if self._closed:
            raise ClientClosedError
        return self._other_loop()

    def _other_loop(self) -> BoundLoop | None:
        """Return the loop that the client belongs to; None if that is this one, from now on."""
        bound = self._bound_loop
        if bound is not None and bound.loop is asyncio.get_running_loop():
            return None
        if bound is None or not (self._broker.bound_to_loop or bound.loop.is_running()):
            self._bound_loop = BoundLoop()
            return None
        return bound

    async def _place(self, task: Task, options: Options) -> TaskInfo:
        """Compose and enqueue *task*; called after all middleware."""
        now = self._clock.now()
        (task_id,) = new_ids(1)
        composed = self._compose(task, options, now=now, task_id=task_id)
        answer = await self._batcher.enqueue(composed.plan)
        if answer is not None:
            raise answer
        return composed.info()

    async def _enqueue_each(
        self, tasks: Sequence[Task], shared: Options
    ) -> list[TaskInfo | PyasynqError]:
        outcomes: list[TaskInfo | PyasynqError] = []
        for start in range(0, len(tasks), CHUNK):
            chunk = tasks[start : start + CHUNK]
            outcomes += await self._middleware.enqueue_each(chunk, shared, self._place)
        return outcomes

    def _compose_chunk(
        self, tasks: Sequence[Task], shared: Options
    ) -> list[Composed | PyasynqError]:
        now = self._clock.now()
        chunk: list[Composed | PyasynqError] = []
        for task, task_id in zip(tasks, new_ids(len(tasks)), strict=True):
            try:
                merged = merge(task.options, shared)
                chunk.append(self._compose(task, merged, now=now, task_id=task_id))
            except PyasynqError as error:
                chunk.append(error)
        return chunk

    async def _write(self, chunk: Sequence[Composed | PyasynqError]) -> list[PyasynqError | None]:
        """Create the tasks that could be composed; return why one was refused, or None."""
        new = [NewTask(composed.plan) for composed in chunk if isinstance(composed, Composed)]
        return cast("list[PyasynqError | None]", await self._broker.creation.create(new))


def _outcomes(
    infos: Sequence[TaskInfo | PyasynqError], answers: Iterable[PyasynqError | None]
) -> list[TaskInfo | PyasynqError]:
    """Return *infos* with the broker's *answers*, which are only for the tasks it was sent."""
    each = iter(answers)
    return [one if isinstance(one, PyasynqError) else next(each) or one for one in infos]


def _check_tasks(tasks: object) -> list[Task]:
    waiting = list(check_iterable(tasks))
    for task in waiting:
        check_task(task)
    return waiting
