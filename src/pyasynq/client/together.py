"""Create tasks all together, or none of them, and batches."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from itertools import count
from typing import Final, NamedTuple

from pyasynq.broker import BatchPort, BatchRef
from pyasynq.client.ids import new_ids
from pyasynq.client.plans import Plans
from pyasynq.core.batch import (
    MOST_RESULTS,
    Batch,
    BatchInfo,
    BatchPlan,
    make_member,
    member_id,
)
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, OptionError
from pyasynq.core.message import TaskMessage
from pyasynq.core.options import DEFAULT_QUEUE, NO_OPTIONS, whole_seconds
from pyasynq.core.policy import MAX_BULK
from pyasynq.core.report import Place
from pyasynq.core.task import Task
from pyasynq.runtime.cleanup import run_to_end
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.client")


class Staging:
    """Tasks that are staged in their queues until all are there.

    Attributes:
        home: The queue of the first task; empty before that.
    """

    def __init__(self, port: BatchPort, batch_id: str) -> None:
        """Stage tasks through *port*, under the id *batch_id*."""
        self._port = port
        self._id = batch_id
        self._counts: dict[BatchRef, int] = {}
        self.home: str = ""

    async def add(self, plans: Sequence[Plan]) -> None:
        """Stage *plans*.

        Raises:
            PyasynqError: If one of them is refused, or the broker fails.
        """
        by_queue: dict[str, list[Plan]] = {}
        for plan in plans:
            by_queue.setdefault(plan.message.queue, []).append(plan)
        for queue, some in by_queue.items():
            self.home = self.home or queue
            batch = BatchRef(queue=queue, id=self._id, home=self.home)
            first = self._counts.setdefault(batch, 0)
            await self._port.stage(batch, some, first=first)
            self._counts[batch] = first + len(some)

    async def start(self, plan: BatchPlan, queue: str) -> BatchRef:
        """Decide that all of them run, as the members of a batch; return it.

        They must be of one queue. A batch without members belongs to *queue*.
        """
        empty = {BatchRef(queue=queue, id=self._id, home=queue): 0}
        ((batch, total),) = (self._counts or empty).items()
        await self._port.start(batch, total, plan)
        return batch

    async def commit(self) -> None:
        """Decide that all of them run; the first queue decides for the others."""
        batches = [*self._counts]
        for batch in batches[1:]:  # they must be there once the first has decided
            await self._port.stage(batch, [], first=self._counts[batch])
        if batches:
            await self._port.commit([*self._counts.items()])

    async def release(self) -> None:
        """Give all of them to the workers; if the broker fails now, a server does it later."""
        try:
            for batch in self._counts:
                while await self._port.release(batch) == MAX_BULK:
                    pass
        except BrokerError as error:
            log.warning("tasks were created together; servers release them later: %s", error)

    async def discard(self) -> bool:
        """Delete all of them; return False if they were to run already.

        What the broker cannot delete now, a server deletes later.
        """
        try:
            for batch in self._counts:  # the home first
                if not await self._port.discard(batch):
                    return False
        except BrokerError as error:
            log.warning("staged tasks are left behind; servers delete them later: %s", error)
        return True


async def enqueue_together(port: BatchPort, chunks: AsyncIterator[Sequence[Plan]]) -> list[str]:
    """Create the tasks of all *chunks*, or none of them; return their ids.

    Raises:
        PyasynqError: If one is refused, or the broker fails. In the second case they may be created
            nevertheless, all of them.
        Exception: What *chunks* raises.
    """
    (batch_id,) = new_ids(1)
    staging = Staging(port, batch_id)
    ids = await _create(staging, chunks, staging.commit)
    await staging.release()
    return ids


async def enqueue_batch(port: BatchPort, plans: Plans, batch: Batch) -> BatchInfo:
    """Create the tasks of *batch* and what follows them, or nothing; return the batch.

    Raises:
        OptionError: If a member is for another queue than those before it, or has an id or a group.
        PyasynqError: As from `enqueue_together`.
        Exception: What the tasks of *batch* raise.
    """
    (batch_id,) = new_ids(1)
    then, failed = [
        None if task is None else await plans.one(task, NO_OPTIONS, f"{batch_id}:{name}")
        for name, task in (("then", batch.then), ("failed", batch.failed))
    ]
    queues = [plan.message.queue for plan in (then, failed) if plan is not None]
    staging = Staging(port, batch_id)
    home = queues[0] if queues else DEFAULT_QUEUE
    plan = BatchPlan(then=then, failed=failed, kept_s=whole_seconds(batch.keep))
    chunks = _MemberMaker(batch_id, reports_to=queues).of(plans, batch.members())
    ids = await _create(staging, chunks, functools.partial(staging.start, plan, home))
    await staging.release()
    return BatchInfo(
        id=batch_id,
        queue=staging.home or home,
        state="running" if ids else "succeeded",
        total=len(ids),
        ended=0,
        failed=0,
        created_at=plans.clock.now(),
        ended_at=None if ids else plans.clock.now(),
    )


class HeldMap(NamedTuple):
    """A map whose tasks are held until its flow begins it.

    Attributes:
        batch: Its batch.
        size: Number of its tasks.
        type: Type of the first of them; empty without tasks.
    """

    batch: BatchRef
    size: int
    type: str


async def hold_map(
    port: BatchPort, plans: Plans, tasks: Iterable[Task], *, parent: Place, keeps_results: bool
) -> HeldMap:
    """Create *tasks* so that the step *parent* of a flow can begin them, or nothing.

    Raises:
        OptionError: As from `enqueue_batch`; with *keeps_results* also if they are too many, or of
            several types.
        PyasynqError: As from `enqueue_together`.
        Exception: What *tasks* raise.
    """
    (batch_id,) = new_ids(1)
    staging = Staging(port, batch_id)
    members = _MemberMaker(batch_id, reports_to=None, keeps_results=keeps_results)
    plan = BatchPlan(then=None, failed=None, kept_s=0, parent=parent, keeps_results=keeps_results)
    start = functools.partial(staging.start, plan, parent.queue)
    ids = await _create(staging, members.of(plans, tasks), start)
    queue = staging.home or parent.queue
    batch = BatchRef(queue=queue, id=batch_id, home=queue)
    return HeldMap(batch, len(ids), members.type)


async def discard_maps(port: BatchPort, maps: Iterable[HeldMap]) -> None:
    """Delete the tasks of *maps*; what the broker cannot delete now, a server deletes later."""
    try:
        for held in maps:
            await port.discard(held.batch)
    except BrokerError as error:
        log.warning("tasks of maps are left behind; servers delete them later: %s", error)


async def _create(
    staging: Staging,
    chunks: AsyncIterator[Sequence[Plan]],
    decide: Callable[[], Awaitable[object]],
) -> list[str]:
    """Stage the tasks of all *chunks*, and decide that they run, or create none; return their ids.

    While the broker works on a chunk, the next one is composed.

    Args:
        staging: Stages them.
        chunks: The tasks.
        decide: Decides that they run, once all are there.

    Raises:
        PyasynqError: If one is refused, or the broker fails. In the second case they may be created
            nevertheless, all of them.
        Exception: What *chunks* raises.
    """
    ids: list[str] = []
    writing: asyncio.Task[None] | None = None
    try:
        async for plans in chunks:
            if writing is not None:
                await asyncio.shield(writing)  # what it writes must be there to be undone
            ids += [plan.message.id for plan in plans]
            writing = asyncio.create_task(staging.add(plans))
            await asyncio.sleep(0)  # sends it
        if writing is not None:
            await asyncio.shield(writing)
        await decide()
    except BaseException as error:
        undone = await run_to_end(functools.partial(_undo, staging, writing))
        if undone or not isinstance(error, BrokerError):
            raise
    return ids


class _MemberMaker:
    """Makes tasks the members of a batch, as they come.

    Attributes:
        type: Type of the first of them; empty before that.
    """

    def __init__(
        self, batch_id: str, *, reports_to: Sequence[str] | None, keeps_results: bool = False
    ) -> None:
        """Make members of the batch *batch_id*.

        Args:
            batch_id: Its id.
            reports_to: The queues of what follows the batch; None for a flow, which may go on in
                any queue.
            keeps_results: The results of members are kept, as one list.
        """
        self.type: str = ""
        self._id = batch_id
        self._reports_to = reports_to
        self._keeps_results = keeps_results
        self._home = ""
        self._ids = count()
        self._numbers = count()

    async def of(self, plans: Plans, tasks: Iterable[Task]) -> AsyncIterator[Sequence[Plan]]:
        """Yield the plans of *tasks*, in chunks.

        Raises:
            OptionError: If they are for several queues, or cannot be members.
        """
        async for chunk in plans.chunks(tasks, NO_OPTIONS, self._next_ids):
            self._home = self._home or chunk[0].message.queue
            self.type = self.type or chunk[0].message.type
            for plan in chunk:
                self._join(plan)
            yield chunk

    def _next_ids(self, wanted: int) -> list[str]:
        return [member_id(self._id, next(self._ids)) for _ in range(wanted)]

    def _join(self, plan: Plan) -> None:
        number = next(self._numbers)
        if self._keeps_results:
            self._check_result(plan.message, number)
        to = self._reports_to
        place = Place(
            kind="batch",
            queue=self._home,
            id=self._id,
            member=number,
            spreads=to is None or any(queue != self._home for queue in to),
            keeps_result=self._keeps_results,
        )
        make_member(plan.message, place)

    def _check_result(self, message: TaskMessage, number: int) -> None:
        if number == MOST_RESULTS:
            allowed = f"at most {MOST_RESULTS} tasks in a map whose results a step uses"
            raise OptionError("tasks", number + 1, allowed)
        if message.type != self.type:
            allowed = f"{self.type!r}, as of the others: the results of a map are one list"
            raise OptionError("type", message.type, allowed)


async def _undo(staging: Staging, writing: asyncio.Task[None] | None) -> bool:
    """Discard what is staged once *writing* has ended; return whether none of it runs."""
    if writing is not None:
        await asyncio.wait([writing])
        writing.exception()  # the caller raises it, or an error that came before
    return await staging.discard()
