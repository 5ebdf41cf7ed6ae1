"""Do what a server does, but only when asked, and one task after another."""

import difflib
import math
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pyasynq.broker import Broker, Lease, WorkPort
from pyasynq.core.control import HandlerNotFoundError, RetryIn, RevokeTask, SkipRetry, Snooze
from pyasynq.core.errors import BrokerError, PyasynqError
from pyasynq.core.info import info_of_message
from pyasynq.core.options import LONGEST
from pyasynq.core.priority import sort_by_weight
from pyasynq.core.queue_weights import match_queues
from pyasynq.core.states import TaskState
from pyasynq.core.verdict import ARCHIVE_AS_IT_IS, Verdict, decisive_error
from pyasynq.server import Mux
from pyasynq.server.config import Config
from pyasynq.server.run.notifier import Notifier
from pyasynq.testing.clock import TravelClock
from pyasynq.testing.queue_steps import QueueSteps
from pyasynq.testing.runs import Ran, TooManyRunsError, outcome_of
from pyasynq.testing.single_run import SingleRun

if TYPE_CHECKING:
    from pyasynq.core.outcome import Outcome

LEASE_S: Final = LONGEST.total_seconds()
"""Length of the leases: nobody extends them, and a test may stop at a breakpoint."""

SHORTEST_TRAVEL_S: Final = 0.001
"""Shortest way to the time when something is due, seconds; a shorter one could be rounded off."""

ENDLESS: Final = (
    "{} tasks ran and more are due: a task that enqueues itself, snoozes or is retried at once"
    " never ends; if this number is right, pass a larger `most`"
)

_serving: ContextVar[bool] = ContextVar("pyasynq_testing_serving", default=False)


class Stepper:
    """Runs the tasks of a broker."""

    def __init__(
        self,
        broker: Broker,
        mux: Mux,
        config: Config,
        clock: TravelClock,
        *,
        executor: Executor,
        report: Callable[[Ran], object],
    ) -> None:
        """Run the tasks of *broker* with the handlers of *mux*.

        Args:
            broker: Has the tasks.
            mux: Has the handlers.
            config: Settings of the server whose work this does.
            clock: Tells the time to all of them.
            executor: Runs plain functions.
            report: Called with each run.
        """
        self._broker = broker
        self._mux = mux
        self._config = config
        self._clock = clock
        self._executor = executor
        self._report = report
        self._notifier = Notifier(config.hooks, executor)
        self._outcomes: list[Outcome] = []
        self._steps: dict[str, QueueSteps] = {}
        self._begun_at = clock.now()
        self._taken = 0

    async def drain(
        self, queues: Collection[str] | None, *, most: int, raises: bool, travel: bool
    ) -> list[Ran]:
        """Run the due tasks of *queues*, and those that they enqueue; see `Tasks.drain`."""
        runs: list[Ran] = []
        async with self._serving():
            while True:
                count = len(runs)
                next_in_s = await self.maintain(queues, raises=raises)
                await self._run_pending(runs, queues, most=most, raises=raises)
                if len(runs) > count:
                    continue
                if not travel or math.isinf(next_in_s):
                    return runs
                way = timedelta(seconds=max(next_in_s, SHORTEST_TRAVEL_S))
                self._clock.travel_to(self._clock.now() + way)

    async def run_pending(self, *, most: int) -> None:
        """Run all tasks that wait for a free worker.

        Raises:
            Exception: The error of the first that fails.
        """
        async with self._serving():
            await self._run_pending([], None, most=most, raises=True)

    async def run_one(self, queue: str) -> Ran:
        """Run the next task of *queue*, which has one.

        Raises:
            PyasynqError: If it has none.
        """
        async with self._serving():
            run = await self._run_next(queue)
        if run is None:
            msg = f"the queue {queue!r} has no task"
            raise PyasynqError(msg)
        return run

    async def maintain(self, queues: Collection[str] | None, *, raises: bool) -> float:
        """Do what a server's other actors do; return the seconds until a delayed task is due.

        Infinite without one.

        Raises:
            Exception: The error of the first group that could not be combined, if it *raises*.
        """
        next_in_s = math.inf
        for queue in await self._queues(queues):
            steps = self._steps_of(queue)
            steps.errors.clear()
            next_in_s = min(next_in_s, await steps.take())
            await self._call_hooks()
            if raises and steps.errors:
                raise steps.errors[0]
        return next_in_s

    async def end_what_is_over(self) -> None:
        """Recover tasks whose leases have ended, and delete those whose retention is over."""
        for queue in await self._queues(None):
            await self._steps_of(queue).end_what_is_over()
        await self._call_hooks()

    def _steps_of(self, queue: str) -> QueueSteps:
        if queue not in self._steps:
            self._steps[queue] = QueueSteps(
                self._broker,
                queue,
                self._config,
                self._executor,
                begun_at=self._begun_at,
                on_written=self._on_written,
            )
        return self._steps[queue]

    async def _run_pending(
        self, runs: list[Ran], queues: Collection[str] | None, *, most: int, raises: bool
    ) -> None:
        while len(runs) < most:
            run = await self._run_first(queues)
            if run is None:
                return
            runs.append(run)
            if raises:
                _raise_failure(run, self._mux.patterns)
        for queue in await self._queues(queues):
            info = await self._broker.inspection.queue_info(queue, memory=False)
            if info.pending and not info.paused:
                raise TooManyRunsError(runs, ENDLESS.format(most))

    async def _run_first(self, queues: Collection[str] | None) -> Ran | None:
        """Run the next task of the first queue that has one; None if none has."""
        for queue in await self._queues(queues):
            run = await self._run_next(queue)
            if run is not None:
                return run
        return None

    async def _queues(self, queues: Collection[str] | None) -> list[str]:
        """Return the known queues among *queues*, those first that the server prefers."""
        known = await self._broker.inspection.queues()
        served = match_queues(self._config.queues, known)
        preferred = [queue for queue in sort_by_weight(served) if queue in known]
        ordered = dict.fromkeys([*preferred, *known])
        return [queue for queue in ordered if queues is None or queue in queues]

    async def _run_next(self, queue: str) -> Ran | None:
        self._taken += 1
        owner = f"{self._config.server_id}/{self._taken}"
        work = self._broker.work
        (result,) = await work.dequeue({queue: 1}, owner=owner, lease_s=LEASE_S)
        if result.error is not None:
            raise result.error
        for lease in result.poison:
            await _settle(work, lease, ARCHIVE_AS_IT_IS)
        for lease in result.leases:
            return await self._run(lease)
        return None

    async def _run(self, lease: Lease) -> Ran:
        info = info_of_message(lease.message, state=TaskState.ACTIVE)
        run = SingleRun(self._mux, self._broker, self._config, self._executor)
        try:
            await run.run(lease)
        finally:
            verdict = run.verdict
            if verdict is not None and await _settle(self._broker.work, lease, verdict):
                self._on_written(lease, verdict)
        await self._call_hooks()
        if run.verdict is None:
            msg = f"{lease!r} was dropped without a verdict: see the log"
            raise PyasynqError(msg)
        state, at = outcome_of(run.verdict)
        ran = Ran(
            task=self._config.codecs.open_info(info),
            error=run.error,
            state=state,
            next_process_at=at,
            value=run.value,
        )
        self._report(ran)
        return ran

    def _on_written(self, _lease: Lease, verdict: Verdict) -> None:
        if verdict.outcome is not None:
            self._outcomes.append(verdict.outcome)

    async def _call_hooks(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        for outcome in outcomes:
            await self._notifier.call(outcome)

    @asynccontextmanager
    async def _serving(self) -> AsyncGenerator[None]:
        """Be in the server's lifespan, unless the caller is in it already."""
        if _serving.get():
            yield
            return
        async with self._config.lifespan():
            token = _serving.set(True)
            try:
                yield
            finally:
                _serving.reset(token)


async def _settle(work: WorkPort, lease: Lease, verdict: Verdict) -> bool:
    (answer,) = await work.settle([(lease, verdict)])
    if isinstance(answer, BrokerError):
        raise answer
    return answer


def _raise_failure(run: Ran, patterns: Iterable[str]) -> None:
    """Raise the error of *run*, unless its handler has decided about the task by a signal."""
    if run.error is None:
        return
    match decisive_error(run.type, run.error):
        case RetryIn() | RevokeTask() | SkipRetry() | Snooze():
            return
        case HandlerNotFoundError(type=run.type):
            run.error.add_note(_known_types(run.type, patterns))
        case _:
            run.error.add_note(f"{run}. To go on after a failure: drain(raises=False)")
    raise run.error


def _known_types(type: str, patterns: Iterable[str]) -> str:
    known = sorted(patterns)
    close = difflib.get_close_matches(type, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are handlers for {', '.join(map(repr, known)) or 'no types'}"
