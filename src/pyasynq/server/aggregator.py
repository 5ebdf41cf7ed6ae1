"""Combine the tasks of groups.

Source:
    Protocol sections 3.14 and 6.11 (asynq v0.26.0 ``aggregator.go``).

Differs:
    Looks when a group is ripe; combines several groups side by side; creates the combined task and
    deletes its parts in one step; gives up what cannot be combined (D19).
"""

import asyncio
import contextvars
import functools
import inspect
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import zip_longest
from typing import Final

from pyasynq.broker import GroupPath, Member, StagedSet
from pyasynq.errors import BrokerError, BrokerUnavailableError, PyasynqError
from pyasynq.server.actor import Actor, Backoff, Link, Passes, dismiss
from pyasynq.server.combined import combined, readable, setback
from pyasynq.server.config import Config, GroupAggregator
from pyasynq.server.mux import HANDLER_THREAD, is_async, without_stop
from pyasynq.task import Task

log = logging.getLogger("pyasynq.server")

LONGEST_S: Final = 1.0
"""Longest time between two looks: others may add to groups, too."""

PAUSE: Final = 10
"""How many times longer the pause after a look is than the look, at least."""

AT_ONCE: Final = 10
"""Groups combined side by side, so that a slow one delays no other."""

HOLD_S: Final = 30.0
"""Time between two extensions of a set, a quarter of what it is held for."""


class Aggregator(Actor):
    """Has the user's function combine ripe groups.

    Attributes:
        combinings: Signals each group that was worked on, well or not.
    """

    name = "aggregator"

    def __init__(
        self, path: GroupPath, aggregate: GroupAggregator, config: Config, link: Link
    ) -> None:
        """Combine the groups of all queues of *config* by *aggregate*."""
        super().__init__(clock=config.clock, link=link)
        self.combinings = Passes()
        self._path = path
        self._aggregate = aggregate
        self._queues = list(config.queues)
        self._rules = config.group_rules()
        self._max_failures = config.group_max_failures
        self._free = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"{HANDLER_THREAD}-groups")
        self._jobs: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._tasks = asyncio.TaskGroup()
        self._stopped = False

    async def run(self) -> None:
        """Combine until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            await super().run()

    async def step(self) -> float:
        """Start on every ripe group; return the seconds until another one is ripe.

        Queues take turns. A look at very many groups is followed by a longer pause.
        """
        begun = self._clock.monotonic()
        found = {queue: await self._path.ripe(queue, self._rules) for queue in self._queues}
        took_s = self._clock.monotonic() - begun
        for queue, group in _in_turn({queue: ripe.names for queue, ripe in found.items()}):
            await self._start(queue, group)
        waits = [ripe.next_in_s for ripe in found.values() if ripe.next_in_s is not None]
        return max(min([LONGEST_S, *waits]), took_s * PAUSE)

    async def finished(self) -> None:
        """Start on no more groups; return when those begun are over."""
        self._stopped = True
        if self._jobs:
            await asyncio.wait(self._jobs.values())

    def interrupt(self) -> None:
        """Put everything back that is under way."""
        for job in self._jobs.values():
            job.cancel()

    def close(self) -> None:
        """Let go of threads; one that does not return ends with the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _start(self, queue: str, group: str) -> None:
        if (queue, group) in self._jobs:
            return
        await self._free.acquire()
        if self._stopped:
            self._free.release()
            return
        job = self._tasks.create_task(self._work_off(queue, group), name=f"aggregate {group}")
        self._jobs[queue, group] = job
        job.add_done_callback(lambda _: self._over(queue, group))

    def _over(self, queue: str, group: str) -> None:
        del self._jobs[queue, group]
        self._free.release()
        self.combinings.finish()

    async def _work_off(self, queue: str, group: str) -> None:
        """Combine a group, set by set, as long as it is ripe and all goes well."""
        try:
            well = True
            while well and not self._stopped:
                staged = await self._path.stage(queue, group, self._rules)
                well = staged is not None and await self._try(staged)
        except BrokerError as error:
            self._link.failed(self.name, error)

    async def _try(self, staged: StagedSet) -> bool:
        """Combine *staged*; return whether that went well."""
        try:
            async with self._held(staged):
                return await self._attempt(staged)
        except asyncio.CancelledError:
            await self._put_back(staged)
            raise

    async def _attempt(self, staged: StagedSet) -> bool:
        members = await self._members(staged)
        if not members:
            await self._path.put_back(staged)  # there is nothing in it
            return True
        try:
            task = await self._call(staged.group, [task for _, task in members])
            await self._combine(staged, task)
        except BrokerError:
            raise
        except Exception as error:  # noqa: BLE001 - the function is the user's
            await self._fail(staged, [member for member, _ in members], error)
            return False
        return True

    async def _members(self, staged: StagedSet) -> list[tuple[Member, Task]]:
        """Return the tasks of *staged*; those that cannot be read are archived."""
        found = await self._path.members(staged) or []
        tasks, poison = readable(found)
        if poison:
            count = await self._path.archive(staged, poison)
            log.error("%d tasks of %s cannot be read; archived", count, _name(staged))
        return tasks

    async def _call(self, group: str, tasks: list[Task]) -> object:
        """Return what the user's function makes of *tasks*.

        Raises:
            Exception: What it raised; a RuntimeError for what would end more than this call.
        """
        call = functools.partial(self._aggregate, group, tasks)
        try:
            answer: object = call() if is_async(self._aggregate) else await self._in_thread(call)
            return await answer if inspect.isawaitable(answer) else answer
        except (Exception, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            if _is_interrupted():
                raise
            msg = f"the group aggregator raised {error!r}"
            raise RuntimeError(msg) from error

    async def _in_thread(self, call: Callable[[], object]) -> object:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: context.run(without_stop, call))

    async def _combine(self, staged: StagedSet, task: object) -> None:
        """Put *task* in the place of *staged*.

        Raises:
            TypeError: If it is no task.
            PyasynqError: If it may not be enqueued.
        """
        plan = combined(task, staged, now=self._clock.now())
        backoff = Backoff()
        while True:
            try:
                answer = await self._path.combine(staged, plan)
            except BrokerUnavailableError as error:
                self._link.failed(self.name, error)
                await self._clock.sleep(backoff.next_s())
            else:
                break
        if isinstance(answer, PyasynqError):
            raise answer
        if not answer:
            log.warning("%s was put back, or combined, meanwhile", _name(staged))

    async def _fail(self, staged: StagedSet, members: Sequence[Member], error: Exception) -> None:
        """Leave *staged* aside for a while, and archive what has failed too often."""
        back = setback(
            members,
            error,
            now=self._clock.now(),
            max_failures=self._max_failures,
            random=random.random(),
        )
        log.error("%s could not be combined", _name(staged), exc_info=error)
        await self._path.postpone(staged, wait_s=back.wait_s)
        if back.given_up:
            count = await self._path.archive(staged, back.given_up)
            log.error("%d tasks of %s are given up; archived", count, _name(staged))

    @asynccontextmanager
    async def _held(self, staged: StagedSet) -> AsyncGenerator[None]:
        """Keep others from putting *staged* back."""
        holding = self._tasks.create_task(self._hold(staged))
        try:
            yield
        finally:
            await dismiss([holding])

    async def _hold(self, staged: StagedSet) -> None:
        held = True
        while held:
            await self._clock.sleep(HOLD_S)
            try:
                held = await self._path.hold(staged)
            except BrokerError as error:
                self._link.failed(self.name, error)

    async def _put_back(self, staged: StagedSet) -> None:
        try:
            await self._path.put_back(staged)
        except BrokerError as error:
            log.info("%s goes back once it is no longer held: %s", _name(staged), error)


def _in_turn(groups: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Return queue and name of all *groups*, the first of each queue first."""
    turns = zip_longest(*([(queue, name) for name in names] for queue, names in groups.items()))
    return [group for turn in turns for group in turn if group is not None]


def _is_interrupted() -> bool:
    """Tell whether a cancellation is ours, and not one that the user's function made."""
    job = asyncio.current_task()
    return job is not None and job.cancelling() > 0


def _name(staged: StagedSet) -> str:
    return f"group {staged.group!r} in {staged.queue!r}"
