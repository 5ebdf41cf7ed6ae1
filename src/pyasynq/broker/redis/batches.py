"""Tasks that are created together, or not at all, and batches, which count theirs.

They are staged: each has its hash and its lock, but its id is in a list of the batch and in no
container. One write decides that all of them run, then their ids are moved to their containers in
steps. The keys of a queue are in one cluster slot, so a batch of several queues has a part in each,
and the part in its home decides. The others ask the home if their client has gone.

The tasks of a batch are of one queue. So the script that ends one of them also counts it: it sets
the bit of its number, and the last one creates the task that follows (`count_members`). A batch may
be a map, a step of a flow: then its tasks are held until the flow begins it, the last one reports
to the flow, and the record is kept as long as the flow may need it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from pyasynq.broker.ports.batches import BatchRef, BatchRepair
from pyasynq.broker.records import decode_name
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import execute
from pyasynq.broker.redis.letters import body_of
from pyasynq.broker.redis.lua import batches as scripts
from pyasynq.broker.redis.scripts import Each, blob, pack
from pyasynq.broker.redis.staging import RedisStaging, counting_values, gone
from pyasynq.core.batch import (
    BatchInfo,
    BatchPlan,
    BatchState,
    head_of_outcome,
    is_needed,
    member_id,
)
from pyasynq.core.errors import BrokerError
from pyasynq.core.message import instant
from pyasynq.core.policy import (
    BATCH_IDLE_S,
    BATCH_STAGED_S,
    BATCH_SWEEP_S,
    DECISION_S,
    MAP_LOOK_S,
    MAX_BULK,
)
from pyasynq.core.report import header_of, read_place
from pyasynq.core.states import TaskState

FOUND: Final = 100
"""Batches that one call finds."""

ANY_S: Final = 10 * 365 * 86_400
"""Longer than any batch is kept, seconds."""

SWEPT: Final = 10 * MAX_BULK
"""Members of one batch that a repair looks at."""

STAGING: Final = "staging"
WAITING: Final = "waiting"
RUNNING: Final = "running"


class _Found(NamedTuple):
    """A batch that nothing has changed for *idle_s* seconds; its state is empty if it is broken."""

    id: str
    idle_s: int
    state: str
    home: str
    staged: int
    is_counted: bool
    parent: str


class RedisBatches(RedisStaging):
    """The port for batches."""

    async def start(self, batch: BatchRef, total: int, plan: BatchPlan) -> None:
        """Decide that the *total* staged tasks of *batch* are to run, and are counted."""
        await self._creation.register([batch.queue])
        record: list[Each] = ["home", batch.home, "kept_s", plan.kept_s]
        record += ("head", head_of_outcome(batch.queue, batch.id))
        if plan.parent is not None:
            is_here = plan.parent.queue == batch.queue
            record += ("parent", header_of(plan.parent), "parent_here", int(is_here))
        if plan.keeps_results:
            record += ("bytes", 0)
        for way, follower in (("then", plan.then), ("otherwise", plan.failed)):
            if follower is not None:
                is_here = follower.message.queue == batch.queue
                record += (way, blob(body_of(follower)), f"{way}_here", int(is_here))
        call = scripts.start_batch(
            **counting_values(batch.queue),
            batch=keys.batch(batch.queue, batch.id),
            batch_id=batch.id,
            total=total,
            is_held=int(plan.parent is not None),
            record=pack(record),
        )
        if await pipeline.run(self._driver, call) != 1:
            raise gone(batch)

    async def read(self, queue: str, batch_id: str) -> BatchInfo | None:
        """Return a batch whose tasks are counted; None if there is no such batch."""
        found = await self._read(queue, batch_id=batch_id, start=0, limit=1)
        return found[0] if found else None

    async def read_all(self, queue: str, start: int, count: int) -> Sequence[BatchInfo]:
        """Return up to *count* batches of *queue*; see `BatchPort`."""
        return await self._read(queue, batch_id="", start=start, limit=count)

    async def _read(self, queue: str, *, batch_id: str, start: int, limit: int) -> list[BatchInfo]:
        call = scripts.read_batches(
            batches=keys.batches(queue),
            batch_prefix=keys.batch(queue),
            batch_id=batch_id,
            start=start,
            limit=limit,
        )
        reply = cast("list[list[bytes | None]]", await pipeline.run(self._driver, call))
        return [_info(queue, record) for record in reply]

    async def failed_members(self, queue: str, batch_id: str) -> Sequence[str]:
        """Return the ids of the members that have failed, at most 10,000, in their order."""
        key = keys.failed_members(queue, batch_id)
        numbers = cast("set[bytes]", await execute(self._driver, "SMEMBERS", key))
        return [member_id(batch_id, number) for number in sorted(map(int, numbers))]

    async def outputs(self, queue: str, batch_id: str) -> dict[int, bytes] | None:
        """Return what members of a map have reported, by number; None if there is no such map."""
        if not await execute(self._driver, "HEXISTS", keys.batch(queue, batch_id), "bytes"):
            return None
        found = await execute(self._driver, "HGETALL", keys.member_outputs(queue, batch_id))
        return {int(number): output for number, output in cast("dict[bytes, bytes]", found).items()}

    async def retry(self, queue: str, batch_id: str) -> bool:
        """Run the failed members of a batch again; False if it has not failed, or is a map."""
        call = scripts.retry_batch(**counting_values(queue), batch_id=batch_id)
        return bool(await pipeline.run(self._driver, call))

    async def cancel(
        self, queue: str, batch_id: str, *, times: int | None = None
    ) -> Sequence[str] | None:
        """Drop the members that wait, in steps; return the ids of those that run."""
        known = -1 if times is None else times
        cancel = scripts.cancel_batch(batch=keys.batch(queue, batch_id), times=known)
        if not await pipeline.run(self._driver, cancel):
            return None
        values = counting_values(queue) | {"batch_id": batch_id, "limit": MAX_BULK}
        while await pipeline.run(self._driver, scripts.drop_staged(**values)):
            pass
        running: list[str] = []
        number = 0
        while number >= 0:
            retry = keys.container(queue, TaskState.RETRY)
            call = scripts.drop_members(**values, retry=retry, first=number)
            reply = cast("list[int | bytes]", await pipeline.run(self._driver, call))
            number = cast("int", reply[0])
            running += [decode_name(cast("bytes", task_id)) for task_id in reply[1:]]
        return running

    async def is_cancelled(self, queue: str, batch_id: str) -> bool:
        """Return whether a batch is cancelled, so that its members must not begin."""
        return bool(
            await execute(self._driver, "HEXISTS", keys.batch(queue, batch_id), "cancelled")
        )

    async def repair(
        self,
        queue: str,
        *,
        idle_s: int = BATCH_IDLE_S,
        swept_s: int = BATCH_SWEEP_S,
        staged_s: int = BATCH_STAGED_S,
    ) -> BatchRepair:
        """Go on with up to 100 batches of *queue* whose clients have gone."""
        found = await self._find(queue, idle_s=idle_s)
        repair = _Repair(broken=[one.id for one in found if not one.state])
        failure: BrokerError | None = None
        for one in found:
            if one.is_counted and one.state == RUNNING and one.idle_s < swept_s and not one.staged:
                continue
            try:
                await self._repair(queue, one, repair, staged_s)
            except BrokerError as error:  # the home of another batch may be reachable
                failure = error
        if failure is not None:
            raise failure
        return repair.result()

    async def _repair(self, queue: str, found: _Found, repair: "_Repair", staged_s: int) -> None:
        batch = BatchRef(queue=queue, id=found.id, home=found.home)
        if found.state == STAGING:
            await self._decide(batch, found, repair, staged_s)
        elif found.state == RUNNING and found.staged:
            repair.released += await self._release_all(batch)
        elif found.state == RUNNING and found.is_counted:
            repair.noticed += await self._sweep(batch)
        elif found.parent:
            await self._look_at_flow(batch, found, staged_s)
        elif found.state:
            await self._discard(batch, decided=1)

    async def _decide(
        self, batch: BatchRef, found: _Found, repair: "_Repair", staged_s: int
    ) -> None:
        """Do as the home has decided; without a decision delete the tasks after *staged_s*."""
        if batch.home != batch.queue and await self._is_decided(batch):
            await self._commit(batch, found.staged, DECISION_S)
            repair.released += await self._release_all(batch)
        elif found.idle_s >= staged_s:
            repair.discarded += await self.discard(batch)

    async def _look_at_flow(self, batch: BatchRef, found: _Found, staged_s: int) -> None:
        """Delete a map that its flow no longer needs; a flow may come some time after its maps."""
        place, is_held = read_place(found.parent), found.state == WAITING
        stored: bytes | None = b"running"
        node: bytes | None = None
        if place is not None:  # else a later version knows
            flow, field = keys.flow(place.queue, place.id), f"n:{place.node}"
            reply = await execute(self._driver, "HMGET", flow, "state", field)
            stored, node = cast("list[bytes | None]", reply)
        is_others = is_held and node is not None and batch.id.encode() not in node
        state = None if stored is None else stored.decode()
        if is_needed(state, is_held=is_held, is_others=is_others):
            after_s = 0 if is_held else MAP_LOOK_S
            call = scripts.touch_batch(
                batches=keys.batches(batch.queue), batch_id=batch.id, after_s=after_s
            )
            await pipeline.run(self._driver, call)
        elif stored is not None or found.idle_s >= staged_s:
            await self._discard(batch, decided=1)

    async def _sweep(self, batch: BatchRef) -> int:
        """Count members that have ended without a report; look at up to `SWEPT` of them."""
        noticed = 0
        for _ in range(0, SWEPT, MAX_BULK):
            call = scripts.sweep_batch(
                **counting_values(batch.queue),
                batch=keys.batch(batch.queue, batch.id),
                ended=keys.ended_members(batch.queue, batch.id),
                batch_id=batch.id,
                limit=MAX_BULK,
            )
            some, more = cast("list[int]", await pipeline.run(self._driver, call))
            noticed += some
            if not more:
                break
        return noticed

    async def remove(self, queue: str, *, force: bool) -> None:
        """Delete the batches of *queue* that are over; with *force* all, and their staged tasks."""
        while found := [
            it for it in await self._find(queue, idle_s=-ANY_S) if force or it.idle_s < 0
        ]:
            for one in found:
                await self._discard(BatchRef(queue=queue, id=one.id, home=""), decided=1)

    async def _find(self, queue: str, *, idle_s: int) -> list[_Found]:
        """Return up to `FOUND` batches that are idle for *idle_s* seconds, the oldest first."""
        call = scripts.idle_batches(
            batches=keys.batches(queue),
            batch_prefix=keys.batch(queue),
            staged_prefix=keys.staged_tasks(queue),
            idle_s=idle_s,
            limit=FOUND,
        )
        reply = cast("list[bytes]", await pipeline.run(self._driver, call))
        return [
            _Found(
                decode_name(name),
                int(idle),
                state.decode(),
                decode_name(home),
                int(staged),
                bool(int(counted)),
                decode_name(parent),
            )
            for name, idle, state, home, staged, counted, parent in zip(
                *[iter(reply)] * 7, strict=True
            )
        ]

    async def _is_decided(self, batch: BatchRef) -> bool:
        """Return whether the home of *batch* has decided that its tasks run."""
        state = await execute(self._driver, "HGET", keys.batch(batch.home, batch.id), "state")
        return state == RUNNING.encode()

    async def _release_all(self, batch: BatchRef) -> int:
        released = 0
        while more := await self.release(batch):
            released += more
        return released


@dataclass(slots=True, kw_only=True)
class _Repair:
    """What a repair has done so far."""

    broken: list[str]
    released: int = 0
    discarded: int = 0
    noticed: int = 0

    def result(self) -> BatchRepair:
        return BatchRepair(
            released=self.released,
            discarded=self.discarded,
            noticed=self.noticed,
            broken=self.broken,
        )


def _info(queue: str, record: Sequence[bytes | None]) -> BatchInfo:
    batch_id, state, *numbers = record
    total, left, failed, made_s, ended_s, cancelled = (int(number or 0) for number in numbers)
    return BatchInfo(
        id=decode_name(batch_id or b""),
        queue=queue,
        state="cancelled" if cancelled else cast("BatchState", (state or b"").decode()),
        total=total,
        ended=total - left,
        failed=failed,
        created_at=instant(made_s),
        ended_at=instant(ended_s) if ended_s else None,
    )
