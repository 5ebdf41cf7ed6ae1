"""Move waiting tasks by hand."""

from collections.abc import Sequence
from typing import Final, cast

from pyasynq.broker.ports.inspection import Container, Move, StoredTask, UpdateResult
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver, Word, execute
from pyasynq.broker.redis.lua import inspection as scripts
from pyasynq.broker.redis.records import decode_name
from pyasynq.broker.redis.scripts import Call, Each
from pyasynq.core.message import TaskMessage, encode
from pyasynq.core.policy import ARCHIVE_S, MOST_ARCHIVED
from pyasynq.core.states import Action, TaskState
from pyasynq.runtime.clock import Clock

LEFT: Final = 1
RIGHT: Final = -1

_ANSWERS: Final = {1: UpdateResult.DONE, 0: UpdateResult.CHANGED, -1: UpdateResult.LOCKED}


class RedisActions:
    """The part of the inspection port that moves tasks; beside the part that looks for them."""

    _driver: Driver
    _clock: Clock

    async def pause(self, queue: str, *, paused: bool) -> bool:
        """Let no task of *queue* be taken, or let them again; False if that is so already."""
        if not paused:
            return bool(await execute(self._driver, "DEL", keys.paused(queue), once=True))
        call = scripts.pause_queue(
            scheduled=keys.container(queue, TaskState.SCHEDULED),
            paused=keys.paused(queue),
            now_s=int(self._clock.now().timestamp()),
        )
        return await pipeline.run(self._driver, call) == 1

    async def apply(self, order: Move, place: Container, which: Sequence[str] | int) -> int:
        """Run, archive or delete tasks of *place*, at most 1,000; return how many were there."""
        ids = await self._first(place, which) if isinstance(which, int) else which
        match order:
            case Action.RUN:
                call = _run(place, ids)
            case Action.ARCHIVE:
                call = _archive(place, ids, await self._nearer_end(place, ids))
            case Action.DELETE:
                call = _delete(place, ids, await self._nearer_end(place, ids))
        return cast("list[int]", await pipeline.run(self._driver, call)).count(1)

    async def update(self, found: StoredTask, change: TaskMessage | int) -> UpdateResult:
        """Give the task another message, or another time."""
        call = _reschedule(found, change) if isinstance(change, int) else _update(found, change)
        return _ANSWERS[cast("int", await pipeline.run(self._driver, call))]

    async def _first(self, place: Container, limit: int) -> list[str]:
        """Return up to *limit* ids, the next to run first."""
        if limit <= 0:  # Redis would read "all"
            return []
        words = ("LRANGE", -limit, -1) if place.state in keys.LISTS else ("ZRANGE", 0, limit - 1)
        name, start, stop = words
        reply = await execute(self._driver, name, keys.place(place), start, stop)
        found = [decode_name(task_id) for task_id in cast("list[bytes]", reply)]
        return found[::-1] if place.state in keys.LISTS else found

    async def _nearer_end(self, place: Container, ids: Sequence[str]) -> int:
        """Return from which end of a list to look for a single task: 1 is left, -1 right.

        To look through a list of a million takes 17 ms; so Redis is held for half of it, twice.
        """
        if place.state not in keys.LISTS or len(ids) != 1:
            return RIGHT
        key = keys.place(place)
        half = cast("int", await execute(self._driver, "LLEN", key)) // 2 + 1
        words = ("LPOS", key, ids[0], "RANK", RIGHT, "MAXLEN", half)
        return LEFT if await execute(self._driver, *words) is None else RIGHT


def _run(place: Container, each: Sequence[Each]) -> Call:
    pending = keys.container(place.queue, TaskState.PENDING)
    return scripts.run_tasks(each, pending=pending, **_source(place))


def _archive(place: Container, each: Sequence[Each], nearer: int) -> Call:
    archived = keys.container(place.queue, TaskState.ARCHIVED)
    return scripts.archive_tasks(
        each,
        archived=archived,
        state=place.state.value,
        nearer=nearer,
        archive_s=ARCHIVE_S,
        most_archived=MOST_ARCHIVED,
        **_source(place),
    )


def _delete(place: Container, each: Sequence[Each], nearer: int) -> Call:
    return scripts.delete_tasks(each, state=place.state.value, nearer=nearer, **_source(place))


def _source(place: Container) -> dict[str, Word]:
    return {
        "source": keys.place(place),
        "groups": keys.groups(place.queue),
        "task_prefix": keys.task(place.queue),
        "group": place.group,
    }


def _update(found: StoredTask, revised: TaskMessage) -> Call:
    lock = "" if found.message is None else found.message.unique_key
    return scripts.update_task(
        task=keys.task(found.place.queue, found.id),
        id=found.id,
        state=found.place.state.value,
        message=cast("bytes", found.version),
        revised=encode(revised),
        lock=lock,
        new_lock=revised.unique_key,
    )


def _reschedule(found: StoredTask, at_s: int) -> Call:
    return scripts.reschedule_task(source=keys.place(found.place), id=found.id, at_s=at_s)
