"""Combine one aggregation set.

Source:
    Protocol section 6.11 (asynq v0.26.0 ``aggregator.aggregate``).

Differs:
    One script creates the combined task and deletes its parts. Tasks that often failed to be
    combined are archived (D19), and tasks that cannot be decoded at once (D27).
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
from pyasynq.client.middleware import combined_tasks
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
    check_result,
    failure_of,
    read_contents,
    with_queue,
)
from pyasynq.server.run.traces import format_traceback

log: Final = get_logger("pyasynq.server")

HOLD_S: Final = 30.0
"""Time between two extensions of a set: a quarter of the time for which it is held."""


class SetAggregator:
    """Replaces the tasks of an aggregation set by one, which the user's function makes."""

    def __init__(
        self,
        broker: Broker,
        aggregate: GroupAggregator,
        threads: Executor,
        *,
        config: Config,
        record_failure: Callable[[BrokerError], None],
    ) -> None:
        """Call *aggregate* for each set.

        Args:
            broker: Has the sets, and takes the combined tasks.
            aggregate: The user's function.
            threads: Run it if it is a plain function.
            config: Settings of the server.
            record_failure: Called with an error of the broker, before the next try.
        """
        self._port = broker.groups
        self._creation = broker.creation
        self._aggregate = aggregate
        self._threads = threads
        self._middleware = config.client_middleware
        self._codecs = config.codecs
        self._composer = Composer(config.codecs)
        self._clock = config.clock
        self._max_failures = config.group_max_failures
        self._text = config.policy().text
        self._record_failure = record_failure

    async def combine(self, group_set: AggregationSet) -> bool:
        """Combine *group_set*; return whether that succeeded."""
        try:
            async with self._keep_held(group_set):
                return await self._attempt(group_set)
        except asyncio.CancelledError:
            await run_to_end(functools.partial(self._unstage, group_set))
            raise

    async def _attempt(self, group_set: AggregationSet) -> bool:
        contents = await self._read_contents(group_set)
        if contents.sealed:  # another worker may be able to open them, and combine the whole set
            sealed, error = [task for task, _ in contents.sealed], contents.sealed[0][1]
            await self.fail(group_set, sealed, error)
            return False
        if not contents.tasks:
            await self._port.unstage(group_set)  # the set is empty
            return True
        failure = await self._combine(group_set, [task for _, task in contents.tasks])
        if failure is not None:
            await self.fail(group_set, [task for task, _ in contents.tasks], failure)
        return failure is None

    async def _read_contents(self, group_set: AggregationSet) -> SetContents:
        """Return the tasks of *group_set*; archive those that cannot be decoded."""
        contents = read_contents(await self._port.read_set(group_set) or [], self._codecs)
        if contents.poison:
            count = await self._port.archive(group_set, contents.poison)
            log.error("%d tasks of %s cannot be read; archived", count, _describe(group_set))
        return contents

    async def _combine(self, group_set: AggregationSet, tasks: list[Task]) -> Exception | None:
        """Make one task of *tasks* with the user's function, and enqueue it.

        Returns:
            Why the set could not be combined; None if it was, or belongs to others now.
        """
        try:
            call = invoke(self._threads, self._aggregate, group_set.group, tasks)
            task = check_result(await call_guarded("the group aggregator", call))
        except Exception as error:  # noqa: BLE001 - the function is the user's
            return error
        token = combined_tasks.set(tasks)
        try:
            return await self._enqueue(group_set, task)
        finally:
            combined_tasks.reset(token)

    async def _enqueue(self, group_set: AggregationSet, task: Task) -> Exception | None:
        """Replace the tasks of *group_set* by *task*, through the client middleware.

        Returns:
            Why that failed; None if it was done, or the set belongs to others now.

        Raises:
            BrokerError: If the broker answered with an error.
        """
        settled = False

        async def end(task: Task, options: Options) -> TaskInfo:
            nonlocal settled
            options = with_queue(options, group_set)
            now = self._clock.now()
            # The set's id is the task's id, so a set combined twice still gives one task.
            composed = self._composer.compose(task, options, now=now, task_id=group_set.id)
            answer = await self._replace(group_set, composed.plan)
            if isinstance(answer, Refusal):
                raise answer
            settled = True
            if isinstance(answer, NotCreated):
                msg = f"{_describe(group_set)} was put back, or combined, meanwhile"
                raise NotEnqueuedError(msg)
            return composed.info()

        options = with_queue(task.options, group_set)
        try:
            await call_guarded("client middleware", self._middleware.enqueue(task, options, end))
        except BrokerError:
            raise
        except Exception as error:
            if not settled:
                return error
            if not isinstance(error, NotEnqueuedError):  # `_replace` has logged that
                log.exception(
                    "client middleware failed after %s was combined", _describe(group_set)
                )
        return None

    async def _replace(self, group_set: AggregationSet, plan: Plan) -> Refusal | NotCreated | None:
        """Replace the tasks of *group_set* by that of *plan*; try again while Redis is away.

        Returns:
            Why that was not done; None if it was.

        Raises:
            BrokerError: If the broker answered with an error.
        """
        backoff = Backoff()
        new = NewTask(plan, ReplacesSet(group_set=group_set))
        (answer,) = await self._creation.create([new])
        while isinstance(answer, BrokerUnavailableError):
            self._record_failure(answer)
            await self._clock.sleep(backoff.next_s())
            (answer,) = await self._creation.create([new])
        if isinstance(answer, BrokerError):
            raise answer
        if isinstance(answer, NotCreated):
            log.warning("%s was put back, or combined, meanwhile", _describe(group_set))
        return answer if isinstance(answer, Refusal | NotCreated) else None

    async def fail(
        self, group_set: AggregationSet, tasks: Sequence[GroupedTask], error: Exception
    ) -> None:
        """Postpone *group_set*, and archive tasks that have failed too often."""
        failure = failure_of(
            tasks,
            self._text(error),
            now=self._clock.now(),
            max_failures=self._max_failures,
            random=random.random(),
        )
        log.error(
            "%s could not be combined", _describe(group_set), exc_info=format_traceback(error)
        )
        await self._port.postpone(group_set, tasks, wait_s=failure.wait_s)
        if failure.given_up:
            count = await self._port.archive(group_set, failure.given_up)
            log.error("%d tasks of %s are given up; archived", count, _describe(group_set))

    @asynccontextmanager
    async def _keep_held(self, group_set: AggregationSet) -> AsyncGenerator[None]:
        """Extend the hold on *group_set* during the block, so that nobody else puts it back."""
        holding = asyncio.create_task(self._hold(group_set), name=f"hold {group_set.id}")
        try:
            yield
        finally:
            await cancel_and_wait([holding])

    async def _hold(self, group_set: AggregationSet) -> None:
        held = True
        while held:
            await self._clock.sleep(HOLD_S)
            try:
                held = await self._port.hold_set(group_set)
            except BrokerError as error:
                self._record_failure(error)

    async def _unstage(self, group_set: AggregationSet) -> None:
        try:
            await self._port.unstage(group_set)
        except BrokerError as error:
            log.info("%s goes back once it is no longer held: %s", _describe(group_set), error)


def _describe(group_set: AggregationSet) -> str:
    return f"group {group_set.group!r} in {group_set.queue!r}"
