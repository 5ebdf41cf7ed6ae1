"""Combine one staged set.

Source:
    Protocol section 6.11 (asynq v0.26.0 ``aggregator.aggregate``).

Differs:
    The combined task is created and its parts deleted in one step; what cannot be combined is given
    up in the end (D19), and what cannot be read at once (D27).
"""

import asyncio
import functools
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Final

from pyasynq.broker import (
    AggregationSet,
    Broker,
    GroupedTask,
    NewTask,
    NotCreated,
    Refusal,
    ReplacesSet,
)
from pyasynq.core.compose import Composer, Plan
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.extension_errors import NotEnqueuedError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import Options
from pyasynq.core.task import Task
from pyasynq.runtime.actor import Backoff, cancel_and_wait
from pyasynq.runtime.callbacks import call_guarded
from pyasynq.runtime.cleanup import run_to_end
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.threads import invoke
from pyasynq.server.config import Config, GroupAggregator
from pyasynq.server.groups.aggregation import (
    SetContents,
    checked_task,
    failure_of,
    placed,
    read,
)
from pyasynq.server.run.traces import format_traceback

log: Final = get_logger("pyasynq.server")

HOLD_S: Final = 30.0
"""Time between two extensions of a set, a quarter of what it is held for."""


class SetAggregator:
    """Has the user's function make one task of a staged set."""

    def __init__(
        self,
        broker: Broker,
        aggregate: GroupAggregator,
        threads: Executor,
        *,
        config: Config,
        failed: Callable[[BrokerError], None],
    ) -> None:
        """Call *aggregate*, in *threads* if it is a plain function; tell *failed* of Redis."""
        self._port = broker.groups
        self._creation = broker.creation
        self._aggregate = aggregate
        self._threads = threads
        self._middleware = config.client_middleware
        self._codecs = config.codecs
        self._composer = Composer(config.codecs)
        self._clock = config.clock
        self._max_failures = config.group_max_failures
        self._failed = failed

    async def combine(self, staged: AggregationSet) -> bool:
        """Combine *staged*; return whether that went well."""
        try:
            async with self._held(staged):
                return await self._attempt(staged)
        except asyncio.CancelledError:
            await run_to_end(functools.partial(self._put_back, staged))
            raise

    async def _attempt(self, staged: AggregationSet) -> bool:
        members = await self._members(staged)
        if members.sealed:  # another worker may open them, and combines all of them then
            sealed, error = [member for member, _ in members.sealed], members.sealed[0][1]
            await self._fail(staged, sealed, error)
            return False
        if not members.tasks:
            await self._port.unstage(staged)  # there is nothing in it
            return True
        failure = await self._combine(staged, [task for _, task in members.tasks])
        if failure is not None:
            await self._fail(staged, [member for member, _ in members.tasks], failure)
        return failure is None

    async def _members(self, staged: AggregationSet) -> SetContents:
        """Return what is in *staged*; what cannot be read is archived."""
        members = read(await self._port.read_set(staged) or [], self._codecs)
        if members.poison:
            count = await self._port.archive(staged, members.poison)
            log.error("%d tasks of %s cannot be read; archived", count, _name(staged))
        return members

    async def _combine(self, staged: AggregationSet, tasks: list[Task]) -> Exception | None:
        """Have the user's function make one task of *tasks*, and enqueue it; return why not."""
        try:
            call = invoke(self._threads, self._aggregate, staged.group, tasks)
            task = checked_task(await call_guarded("the group aggregator", call))
        except Exception as error:  # noqa: BLE001 - the function is the user's
            return error
        return await self._pass(staged, task)

    async def _pass(self, staged: AggregationSet, task: Task) -> Exception | None:
        """Put *task* in the place of *staged*, through the client middleware; return why not.

        Raises:
            BrokerError: If the broker was there and could not do it.
        """
        over = False

        async def end(task: Task, options: Options) -> TaskInfo:
            nonlocal over
            options = placed(options, staged)
            now = self._clock.now()
            # However often a set is combined, there is one task: it has the id of the set.
            composed = self._composer.compose(task, options, now=now, task_id=staged.id)
            answer = await self._replace(staged, composed.plan)
            if isinstance(answer, Refusal):
                raise answer
            over = True
            if isinstance(answer, NotCreated):
                msg = f"{_name(staged)} was put back, or combined, meanwhile"
                raise NotEnqueuedError(msg)
            return composed.info()

        options = placed(task.options, staged)
        try:
            await call_guarded("client middleware", self._middleware.enqueue(task, options, end))
        except BrokerError:
            raise
        except Exception as error:
            if not over:
                return error
            if not isinstance(error, NotEnqueuedError):  # which is in the log
                log.exception("client middleware failed once %s was combined", _name(staged))
        return None

    async def _replace(self, staged: AggregationSet, plan: Plan) -> Refusal | NotCreated | None:
        """Put the task of *plan* in the place of *staged*; return why that was not done, if so.

        Raises:
            BrokerError: If the broker was there and could not do it.
        """
        backoff = Backoff()
        new = NewTask(plan, ReplacesSet(staged=staged))
        (answer,) = await self._creation.create([new])
        while isinstance(answer, BrokerUnavailableError):
            self._failed(answer)
            await self._clock.sleep(backoff.next_s())
            (answer,) = await self._creation.create([new])
        if isinstance(answer, BrokerError):
            raise answer
        if isinstance(answer, NotCreated):
            log.warning("%s was put back, or combined, meanwhile", _name(staged))
        return answer if isinstance(answer, Refusal | NotCreated) else None

    async def _fail(
        self, staged: AggregationSet, members: Sequence[GroupedTask], error: Exception
    ) -> None:
        """Leave *staged* aside for a while, and archive what has failed too often."""
        back = failure_of(
            members,
            error,
            now=self._clock.now(),
            max_failures=self._max_failures,
            random=random.random(),
        )
        log.error("%s could not be combined", _name(staged), exc_info=format_traceback(error))
        await self._port.postpone(staged, members, wait_s=back.wait_s)
        if back.given_up:
            count = await self._port.archive(staged, back.given_up)
            log.error("%d tasks of %s are given up; archived", count, _name(staged))

    @asynccontextmanager
    async def _held(self, staged: AggregationSet) -> AsyncGenerator[None]:
        """Keep others from putting *staged* back."""
        holding = asyncio.create_task(self._hold(staged), name=f"hold {staged.id}")
        try:
            yield
        finally:
            await cancel_and_wait([holding])

    async def _hold(self, staged: AggregationSet) -> None:
        held = True
        while held:
            await self._clock.sleep(HOLD_S)
            try:
                held = await self._port.hold_set(staged)
            except BrokerError as error:
                self._failed(error)

    async def _put_back(self, staged: AggregationSet) -> None:
        try:
            await self._port.unstage(staged)
        except BrokerError as error:
            log.info("%s goes back once it is no longer held: %s", _name(staged), error)


def _name(staged: AggregationSet) -> str:
    return f"group {staged.group!r} in {staged.queue!r}"
