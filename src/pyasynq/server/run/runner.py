"""Run leased tasks: leases → runs → outcome → verdict → completer."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Final, Protocol

from pyasynq.broker import Lease, WorkPort
from pyasynq.core.codec import HEADER as CODECS
from pyasynq.core.control import LeaseExpiredError, RevokeTask
from pyasynq.core.errors import BrokerError
from pyasynq.core.report import HEADER as PLACE
from pyasynq.core.verdict import DONE, REQUEUE, Retry, Verdict, decide
from pyasynq.runtime.callbacks import Callbacks
from pyasynq.runtime.calls import check_awaited
from pyasynq.runtime.loggers import enable_loggers, get_logger
from pyasynq.runtime.loops import BoundLoop
from pyasynq.runtime.processes import Processes
from pyasynq.runtime.threads import Threads, is_coroutine_closing
from pyasynq.server.config import Config
from pyasynq.server.context import TOO_LATE, ActiveTask
from pyasynq.server.current import set_current_task
from pyasynq.server.mux import HANDLER_THREAD, AsyncHandler
from pyasynq.server.run.attempts import AttemptRecorder
from pyasynq.server.run.continuations import Continuations
from pyasynq.server.run.deadlines import Deadlines, seconds_to_run
from pyasynq.server.run.handler_errors import (
    as_exception,
    check_usable,
    is_cancellation,
    replace_error,
)
from pyasynq.server.run.run_counter import RunCounter
from pyasynq.server.run.run_log import RunLog
from pyasynq.server.run.slots import FAILING, Job, Run, Slots, Stop, stop_error
from pyasynq.server.run.suspects import Suspects
from pyasynq.server.run.unknown import UnknownTypes
from pyasynq.server.run.workflows import Workflows

log: Final = get_logger("pyasynq.server")

CALLBACKS_AT_ONCE: Final = 8
"""Number of calls of a plain ``on_error`` at once."""

NOT_AWAITED: Final = "its flow was cancelled, or goes on without this step"


class Completer(Protocol):
    """Writes verdicts."""

    def add(self, lease: Lease, verdict: Verdict) -> None:
        """Take over *lease*; write its *verdict*."""
        ...


class Runner:
    """Runs the handlers of leased tasks, and hands the verdicts to the completer.

    `runs` keeps its asyncio tasks. A TaskGroup would cost 2 µs of the 15 µs that a task takes here;
    `_run` raises nothing, and `wait_until_finished` waits for all.

    Attributes:
        runs: The running tasks.
        slots: The free slots.
        counter: Counts runs for inspectors.
        stopping: No more tasks come, because the server stops.
    """

    def __init__(
        self,
        handler: AsyncHandler,
        port: WorkPort,
        completer: Completer,
        config: Config,
        *,
        workflows: Workflows | None = None,
        executor: Executor | None = None,
    ) -> None:
        """Run tasks with *handler*.

        Args:
            handler: Handles each task.
            port: Writes results.
            completer: Takes the verdicts.
            config: Settings of the server.
            workflows: Knows the flows and batches of tasks; None without such.
            executor: Runs plain functions, also those of processes; None for threads and processes
                of its own.
        """
        self.runs: set[Run] = set()
        self.slots: Slots = Slots(config.concurrency)
        self.counter: RunCounter = RunCounter()
        self.stopping: bool = False
        self._handler = handler
        self._port = port
        self._completer = completer
        self._config = config
        self._policy = config.policy()
        self._hooks = config.hooks
        self._continuations = Continuations(config)
        self._workflows = workflows
        self._attempts = AttemptRecorder(config)
        self._run_log = RunLog(config.clock)
        self._deadlines = Deadlines(
            self.runs, config.clock, slots=config.concurrency, threads=config.threads
        )
        self._threads = Threads(
            config.threads,
            name=HANDLER_THREAD,
            now=config.clock.monotonic,
            watch=self._deadlines.watch_until,
            executor=executor,
        )
        self._processes = Processes(config.task_processes) if executor is None else None
        self._callbacks = Callbacks(CALLBACKS_AT_ONCE)
        self._suspects = Suspects(self.runs, config.clock, config.max_crashes)
        self._unknown = UnknownTypes(wait=config.unknown == "wait")
        self._loop: BoundLoop | None = None
        self._logs_successes = False

    async def resize(self, config: Config) -> None:
        """Have the slots and threads that *config* says; running tasks keep theirs."""
        self.slots.resize(config.concurrency)
        self._deadlines.resize(slots=config.concurrency, threads=config.threads)
        await self._threads.resize(config.threads)

    def start(self, leases: Sequence[Lease], *, waited_s: float | None = None) -> None:
        """Run the tasks of *leases*, for which there must be free slots.

        The first of them was pending for *waited_s* seconds; None if that is not known.
        """
        self.slots.take(len(leases))
        if leases and waited_s is not None:
            self.counter.add_wait(leases[0].queue, leases[0].message.type, waited_s)
        # These checks are made for each batch and not for each task, which would be slower.
        bound = self._loop = self._loop or BoundLoop()
        if log.disabled:  # a handler has configured logging
            enable_loggers()
        self._logs_successes = log.isEnabledFor(logging.DEBUG)
        now = self._config.clock.monotonic()
        for lease in leases:
            if lease.crashes and (later := self._suspects.put_off(lease)):
                self.slots.release()
                self._completer.add(lease, later)
                continue
            time_s = seconds_to_run(lease)
            ends_at_s = lease.taken_at_s + time_s
            active = ActiveTask(lease, self._port, self._threads, ends_at_s, bound, self._processes)
            run = Run(lease, active, now, now + time_s)
            if time_s <= 0:
                run.request_stop(Stop.DEADLINE)
            self.runs.add(run)
            if lease.crashes:
                self._suspects.note(run)
            self._deadlines.watch(run)
            run.job = Job(self._run(run), loop=bound.loop)

    async def _run(self, run: Run) -> None:
        if run.job is None:  # an eager asyncio task begins before its constructor returns
            run.job = asyncio.current_task()
        set_current_task(run.active)
        try:
            error = await self.run_handler(run)
            if error is None:
                self._settle_success(run)
            else:
                await self._settle_failure(run, error)
        except BaseException as escaped:
            if is_coroutine_closing(escaped, run.job):
                raise
            self._drop(run, escaped)
            if isinstance(escaped, KeyboardInterrupt):
                raise  # ends the loop

    def _settle_success(self, run: Run) -> None:
        if run.stop is not None:
            self._deadlines.on_handler_end(run)
        if not self._release(run):
            return
        lease, message = run.lease, run.lease.message
        took_s = self._config.clock.monotonic() - run.began_at
        self.counter.add_success(lease.queue, message.type, took_s)
        verdict: Verdict = DONE
        if message.retention > 0:
            now = self._config.clock.now()
            verdict = decide(message, None, now=now, policy=self._policy)
        if run.then or self._hooks.exist or message.headers:
            verdict = self._continuations.after_run(
                lease, verdict, added=run.then, output=run.active.output
            )
        self._completer.add(lease, verdict)
        if self._logs_successes:
            self._run_log.log_success(run, took_s=took_s)

    async def _settle_failure(self, run: Run, error: Exception) -> None:
        """Settle the task of *run*, which failed with *error*, unless the lease is lost."""
        if log.disabled:
            enable_loggers()
        stop = run.stop  # a stop during `on_error` is not why the handler ended
        self._deadlines.on_handler_end(run)
        unknown = self._unknown.decide(run.lease, error, now=self._config.clock.now())
        if not isinstance(unknown, Retry):
            await self._report(run, error)
        if not self._release(run):
            return
        if stop is Stop.SHUTDOWN:
            self._completer.add(run.lease, REQUEUE)
            self._run_log.log_requeue(run)
        elif run.stop is Stop.LEASE_LOST:
            self._run_log.log_lost_lease(run)
        elif isinstance(unknown, Retry):
            self._unknown.report(run.lease, error)
            self._completer.add(run.lease, unknown)
        else:
            self._settle(run, error, unknown)

    def _settle(self, run: Run, error: Exception, verdict: Verdict | None = None) -> None:
        """Hand over *verdict*; if None, decide by *error*."""
        lease, now = run.lease, self._config.clock.now()
        if verdict is None:
            verdict = decide(lease.message, error, now=now, policy=self._policy)
            verdict = self._attempts.record(verdict, lease.message.retried, error, now=now)
        self.counter.add_verdict(lease, verdict, self._config.clock.monotonic() - run.began_at)
        self._completer.add(lease, self._continuations.after_run(lease, verdict, error))
        self._run_log.log_failure(run, error, verdict, now=now)

    def _release(self, run: Run) -> bool:
        """Free the slot of *run*; return False if `abandon` has already settled its task."""
        self.slots.release()
        if run not in self.runs:
            return False
        self.runs.discard(run)
        return True

    def _drop(self, run: Run, escaped: BaseException) -> None:
        """Free the slot of *run*, in which *escaped* was raised outside of the handler."""
        if run in self.runs:
            self._release(run)
            if isinstance(escaped, KeyboardInterrupt):
                self._completer.add(run.lease, REQUEUE)
        if not isinstance(escaped, KeyboardInterrupt):
            log.critical("%r is dropped until its lease ends", run, exc_info=escaped)

    async def run_handler(self, run: Run) -> Exception | None:
        """Run the handler; return its error, or None. A success counts even after a stop."""
        if run.stop is not None:
            return stop_error(run)
        run.started = True
        try:
            if run.lease.crashes:
                await self._mark_started(run)
            handler = self._handler
            if run.lease.message.headers:
                handler = await self._prepare(run) or handler
            answer = await handler(run.active)
            if answer is not None:
                check_awaited(answer)
            added, run.active.added = run.active.added, TOO_LATE
            if added:
                run.then = await self._continuations.compose(added, run.lease, self._port)
        except BaseException as error:  # as `call_guarded` does; that costs a coroutine
            if isinstance(error, KeyboardInterrupt) or is_coroutine_closing(error, run.job):
                raise
            return await self._failure_of(run, error)
        return run.active.forgotten

    async def _prepare(self, run: Run) -> AsyncHandler | None:
        """Open the payload of a task, and read the results of other steps that it uses.

        Returns:
            What runs the task in place of the user's handlers; None for those.

        Raises:
            RevokeTask: If its batch is cancelled.
        """
        headers = run.lease.message.headers
        if CODECS in headers:
            run.active.unseal(self._config.codecs)
        if self._workflows is None:
            return None
        if PLACE in headers:
            run.active.inputs = await self._workflows.inputs(run.lease.message)
        return self._workflows.opener(run.lease.message)

    async def _failure_of(self, run: Run, error: BaseException) -> Exception:
        """Return the error of the task: *error*, or the reason why its handler was stopped."""
        run.active.added = TOO_LATE
        if is_cancellation(error):
            await self._detect_loop_end(run)
        if run.stop is Stop.CANCELED and not await self._is_awaited(run):
            return replace_error(error, RevokeTask(NOT_AWAITED))
        if run.stop is None or not is_cancellation(error):
            return check_usable(run.lease.message.type, as_exception(error))
        return replace_error(error, stop_error(run))  # its traceback shows where the handler was

    async def _is_awaited(self, run: Run) -> bool:
        """Return whether the task of *run*, which an operator has cancelled, may run again."""
        if self._workflows is None:
            return True
        with suppress(BrokerError):  # a run too many is better than one too few
            return await self._workflows.is_awaited(run.lease.message)
        return True

    async def _detect_loop_end(self, run: Run) -> None:
        """Set the reason to stop if the whole loop ends: then `Processor.run` is cancelled, too."""
        if run.stop is None:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            if self.stopping:
                run.stop = Stop.SHUTDOWN

    async def _mark_started(self, run: Run) -> None:
        """Record that the handler begins: a worker that dies earlier was not killed by this task.

        Raises:
            BrokerError: If the broker does not answer; the task goes back to its queue.
            LeaseExpiredError: If this worker no longer holds the task.
        """
        try:
            held = await self._port.mark_started(run.lease)
        except BrokerError:
            run.stop = Stop.SHUTDOWN
            raise
        if not held:
            run.stop = Stop.LEASE_LOST
            raise LeaseExpiredError

    async def _report(self, run: Run, error: Exception) -> None:
        """Call the user's ``on_error``; log what it raises (D40)."""
        if self._config.on_error is None or run.stop is Stop.SHUTDOWN or run not in self.runs:
            return
        try:
            await self._callbacks.call("on_error", self._config.on_error, run.active, error)
        except asyncio.CancelledError:
            log.warning("on_error has not ended in time for %r", run)

    # -- stopping ----------------------------------------------------------------------------------

    def leases(self) -> Iterable[Lease]:
        """Return the leases of running tasks."""
        return (run.lease for run in self.runs)

    def stop_lost(self, leases: Iterable[Lease]) -> None:
        """Stop the runs of *leases*, which this server no longer holds."""
        lost = set(leases)
        for run in self.runs:
            if run.lease in lost:
                log.warning("%r: the lease was lost, its handler is stopped", run)
                run.request_stop(Stop.LEASE_LOST)

    def cancel(self, task_id: str) -> None:
        """Stop the runs of *task_id*, which an operator has cancelled."""
        for run in self.runs:
            if run.lease.id == task_id:
                run.request_stop(Stop.CANCELED)

    def interrupt(self) -> None:
        """Stop every handler; their tasks go back to their queues."""
        for run in self.runs:
            run.request_stop(Stop.SHUTDOWN)

    async def wait_until_finished(self) -> None:
        """Return when no task runs."""
        while self.runs:
            await asyncio.wait([run.job for run in self.runs if run.job is not None])

    def abandon(self) -> None:
        """Put the tasks of handlers that do not stop back into their queues.

        A task that was overdue or canceled before the stop has failed, and spends a retry.
        """
        for run in self.runs:
            if run.stop in FAILING:
                log.error("the handler of %s does not stop; the task has failed", run)
                self._settle(run, stop_error(run))
            else:
                log.error("the handler of %s does not stop; the task runs again", run)
                self._completer.add(run.lease, REQUEUE)
        self.runs.clear()

    async def close(self) -> None:
        """End the processes, release the timer and the threads.

        A thread that does not return ends with this process.
        """
        self._deadlines.close()
        self._threads.close()
        self._callbacks.close()
        if self._processes is not None:
            await self._processes.close()
