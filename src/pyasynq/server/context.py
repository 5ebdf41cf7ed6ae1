"""The running task that a handler gets."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import math
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pyasynq.core.batch import OUTCOME
from pyasynq.core.call import INPUTS
from pyasynq.core.codec import HEADER as CODECS
from pyasynq.core.control import NotAwaitedError, ResultError, SkipRetry
from pyasynq.core.errors import OptionError, PyasynqError
from pyasynq.core.message import instant
from pyasynq.core.options import LONGEST
from pyasynq.core.report import HEADER, MOST_OUTPUT, pack_output, place_of
from pyasynq.core.task import Task, check_task
from pyasynq.runtime.calls import must_await
from pyasynq.server.active_batch import ActiveBatch, batch_of, batch_outcome_of

if TYPE_CHECKING:
    from pyasynq.broker import Lease, WorkPort
    from pyasynq.core.batch import BatchOutcome
    from pyasynq.core.codec import Codecs
    from pyasynq.runtime.loops import BoundLoop
    from pyasynq.runtime.processes import ProcessCall, Processes
    from pyasynq.runtime.threads import Threads

T = TypeVar("T")


MOST_ADDED: Final = 100
"""Tasks that one run may add; they are created in one step."""


class AddedTask(NamedTuple):
    """A task that a handler has added, the context in which it did, and whether to its batch."""

    task: Task
    context: contextvars.Context
    is_member: bool


NO_INPUTS: Final[Mapping[str, bytes]] = {}
"""The inputs of a task that uses no results of steps."""

OF_STEPS: Final = frozenset({HEADER, INPUTS, OUTCOME})
"""Headers that a handler must not pass on: a task with them would report to its flow."""

TOO_LATE: Final = ()
"""In place of the tasks that a handler adds: its run has ended."""


class ActiveTask:
    """The task a handler runs.

    Attributes:
        cancelled: True once the handler must stop; a plain function may look at it.
        ends_at: End of its time on the monotonic clock, seconds; later after a wait for a thread.
        overdue: True once its timeout or deadline has passed.
        thread: Id of the thread that runs its plain function; None while none does.
        added: What the handler has added; None without any, `TOO_LATE` after the run.
        forgotten: A call that the handler did not await, which fails the run; None without one.
        output: What `keep_output` has kept, as `core.report.pack_output` returns it.
        inputs: Results of other steps that this step uses, by the names of its parameters.
    """

    __slots__ = (
        "_codecs",
        "_contexts",
        "_ended_at",
        "_ends_at_s",
        "_lease",
        "_loop",
        "_message",
        "_port",
        "_processes",
        "_threads",
        "added",
        "cancelled",
        "ends_at",
        "forgotten",
        "inputs",
        "output",
        "overdue",
        "thread",
    )

    def __init__(
        self,
        lease: Lease,
        port: WorkPort,
        threads: Threads,
        ends_at_s: float,
        loop: BoundLoop,
        processes: Processes | None = None,
    ) -> None:
        """Give access to the task of *lease*.

        Args:
            lease: The task, and the right to run it.
            port: Writes results.
            threads: Run plain functions.
            ends_at_s: When the task must have ended, seconds since 1970.
            loop: The loop in which results are written.
            processes: Run functions of processes; None if threads do.
        """
        self._lease = lease
        self._message = lease.message
        self._codecs: Codecs  # set if the payload was sealed
        self._port = port
        self._ends_at_s = ends_at_s
        self._threads = threads
        self._processes = processes
        self._ended_at: float  # set when the plain function has returned
        self.ends_at: float = math.inf
        self._loop = loop
        self._contexts: tuple[Callable[[], AbstractContextManager[object]], ...] = ()
        self.cancelled: bool = False
        self.overdue: bool = False
        self.thread: int | None = None
        self.forgotten: NotAwaitedError | None = None
        self.added: list[AddedTask] | tuple[()] | None = None
        self.output: bytes = b""
        self.inputs: Mapping[str, bytes] = NO_INPUTS

    @property
    def id(self) -> str:
        """Id of the task, unique within its queue."""
        return self._lease.id

    @property
    def type(self) -> str:
        """Type of the task."""
        return self._message.type

    @property
    def payload(self) -> bytes:
        """The data; empty if the task was enqueued without one."""
        return self._message.payload

    @property
    def headers(self) -> Mapping[str, str]:
        """Text metadata that came with the task, without its place in a flow or a batch."""
        headers = self._message.headers
        return {name: text for name, text in headers.items() if name not in OF_STEPS}

    @property
    def queue(self) -> str:
        """Queue the task was taken from."""
        return self._lease.queue

    @property
    def retried(self) -> int:
        """Retries already spent; 0 in the first run."""
        return self._message.retried

    @property
    def max_retry(self) -> int:
        """Retries allowed."""
        return self._message.retry

    @property
    def last_failed_at(self) -> datetime | None:
        """When a try last ended without success; None in the first try."""
        failed_s = self._message.last_failed_at
        return instant(failed_s) if failed_s > 0 else None

    @property
    def deadline(self) -> datetime:
        """Instant at which the handler is cancelled."""
        return instant(self._ends_at_s)

    @property
    def retention(self) -> timedelta | None:
        """How long the task and its result are kept after success; None deletes it at once."""
        ttl_s = self._message.retention
        longest_s = int(LONGEST.total_seconds())
        return timedelta(seconds=min(ttl_s, longest_s)) if ttl_s > 0 else None

    @property
    def reports_result(self) -> bool:
        """Whether its success takes its result to a flow.

        It is a step, or belongs to a map whose results another step uses.
        """
        place = place_of(self._lease.message)
        return place is not None and (place.kind == "flow" or place.keeps_result)

    @property
    def batch(self) -> ActiveBatch:
        """The batch of which it is a member.

        Raises:
            PyasynqError: If it is no member of a batch.
        """
        add = functools.partial(self._add, is_member=True)
        return batch_of(self._lease.message, self, add)

    @property
    def batch_outcome(self) -> BatchOutcome:
        """How the batch has ended that it follows.

        Raises:
            PyasynqError: If it follows no batch.
        """
        return batch_outcome_of(self._lease.message, self)

    @must_await
    async def write_result(self, result: bytes) -> None:
        """Store *result* with the task; a second one replaces the first.

        It can be read while the task runs, and after success for its retention. The result of a
        step is also what other steps of its flow get.

        Raises:
            ResultError: If this worker no longer holds the task.
            CodecError: If the task is sealed, and a codec cannot seal its result.
            BrokerError: If the broker did not answer.
        """
        if not self._loop.is_here():
            await self._loop.call(functools.partial(self.write_result, result))
        elif not await self._port.write_result(self._lease, self._seal_result(result)):
            raise ResultError(self.id)
        elif self.reports_result:
            self.keep_output(result)

    def keep_output(self, result: bytes) -> None:
        """Report *result* to the flow of this step together with the success of its run.

        Raises:
            SkipRetry: If it is too large.
            CodecError: If the task is sealed, and a codec cannot seal its result.
        """
        if len(result) > MOST_OUTPUT:
            msg = (
                f"{self.type!r} is done, but its result has {len(result)} bytes; a flow takes "
                f"{MOST_OUTPUT} of a step: store it elsewhere, and return where"
            )
            raise SkipRetry(msg)
        names = self._lease.message.headers.get(CODECS, "")
        self.output = pack_output(names, self._seal_result(result) if names else result)

    def then(self, *tasks: Task) -> None:
        """Enqueue *tasks* together with the success of this run, or not at all.

        They are created in the step that writes the success. If the run fails, is stopped, or has
        lost its lease, nothing is left of them. They may be for any queue. A task whose id is
        taken, or whose lock is held, is left out, and the log says so.

        Can be called several times, also in a plain function; client middleware is called when the
        handler has returned.

        Raises:
            OptionError: If one is not a `Task`, or the run has added more than 100.
            PyasynqError: If the run has ended.
        """
        self._add(tasks, is_member=False)

    def _add(self, tasks: Sequence[Task], *, is_member: bool) -> None:
        for task in tasks:
            check_task(task)
        if self.added is TOO_LATE:
            msg = f"{self!r} has ended: add the tasks that follow before its handler returns"
            raise PyasynqError(msg)
        new = [AddedTask(task, contextvars.copy_context(), is_member) for task in tasks]
        added = [*(self.added or ()), *new]
        if len(added) > MOST_ADDED:
            allowed = f"at most {MOST_ADDED} in a run (let one of them enqueue the others)"
            raise OptionError("tasks", len(added), allowed)
        self.added = added

    def unseal(self, codecs: Codecs) -> None:
        """Open the sealed payload, and seal results from now on; called by the server.

        Raises:
            CodecError: If a codec is missing, or fails.
        """
        self._message = codecs.open_message(self._lease.message)
        self._codecs = codecs

    def _seal_result(self, result: bytes) -> bytes:
        message = self._lease.message
        return result if self._message is message else self._codecs.seal_result(message, result)

    def write_result_sync(self, result: bytes) -> None:
        """Store *result* from a plain function, which runs in a thread; see `write_result`.

        Raises:
            LoopError: If the event loop ends before the result is stored.
            PyasynqError: In the event loop, which it would block.
        """
        if self._loop.is_here():
            msg = "write_result_sync blocks the event loop: await write_result in an async def"
            raise PyasynqError(msg)
        self._loop.call_sync(functools.partial(self.write_result, result))

    def use_in_thread(self, make: Callable[[], AbstractContextManager[object]]) -> None:
        """Run the plain function within what *make* returns, entered in its thread; for middleware.

        For what belongs to a thread, such as a connection to a database. The first added is the
        outermost. An ``async def`` runs without it.
        """
        self._contexts += (make,)

    async def in_thread(self, call: Callable[[], object]) -> object:
        """Run *call* in one of the server's threads and return its result.

        An awaitable result, such as the coroutine of a decorated handler, is awaited here. If no
        thread is free, the task waits for one, and its timeout begins when it has one.

        A thread cannot be stopped, so the task ends only when *call* returns: its retry must not
        run beside it. *call* may end early when it sees `cancelled`. A result after the timeout or
        deadline is too late. What counts is when *call* returned, not when the loop noticed: the
        loop may have been blocked.
        """
        if self._threads.busy:
            await self._wait_for(self._threads.acquire)
        else:
            await self._threads.acquire()
        running = self._threads.call(functools.partial(self._call, call))
        stopped = False
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            stopped = True
        answer = running.result()  # outside of `except`: the cancellation is not its context
        if not stopped:
            return await answer if inspect.isawaitable(answer) else answer
        if inspect.iscoroutine(answer):
            answer.close()  # the handler's work, which has not begun
        if inspect.isawaitable(answer) or (self.overdue and self._ended_at > self.ends_at):
            raise asyncio.CancelledError
        return answer

    async def _wait_for(self, acquire: Callable[[], Awaitable[T]]) -> T:
        """Reserve a thread or a process; the wait extends a timeout, but not a deadline."""
        before, left_s = self.ends_at, self.ends_at - self._threads.now()
        deadline_s = self._message.deadline
        limit = before + deadline_s - self._ends_at_s if deadline_s else math.inf
        self.ends_at = limit
        try:
            return await acquire()
        finally:
            self.ends_at = min(self._threads.now() + left_s, limit)
            self._ends_at_s += self.ends_at - before
            self._threads.watch(self.ends_at)

    async def in_process(self, call: ProcessCall) -> object:
        """Run *call* in one of the server's processes and return its result.

        If no process is free, the task waits for one, and its timeout begins when it has one. If
        the task is stopped, its process is killed. A test kit has no processes: it runs
        ``call.here`` in a thread.

        Raises:
            ProcessDiedError: If the process dies.
            NotPicklableError: If the result, or an error, cannot leave the process.
        """
        processes = self._processes
        if processes is None:
            self._contexts = ()  # a process would have none of them
            return await self.in_thread(call.here)
        process = await self._wait_for(processes.acquire)
        return await processes.run(process, call)

    def _call(self, call: Callable[[], object]) -> object:
        self.thread = threading.get_ident()
        try:
            return self._call_within(call) if self._contexts else call()
        finally:
            self._ended_at = self._threads.now()
            self.thread = None

    def _call_within(self, call: Callable[[], object]) -> object:
        with ExitStack() as stack:
            for make in self._contexts:
                stack.enter_context(make())
            return call()

    def __repr__(self) -> str:
        """Show type, id and queue; payloads may hold secrets."""
        return f"<ActiveTask {self.type!r} {self.id} in {self.queue!r}>"
