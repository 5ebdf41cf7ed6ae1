"""Move waiting tasks by hand."""

import time
from collections.abc import Sequence
from typing import Final, cast

from pyasynq.broker.ports.inspection import Found, Place, Updated
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver, Word, execute
from pyasynq.broker.redis.lua import inspection as scripts
from pyasynq.broker.redis.records import sent_id
from pyasynq.broker.redis.scripts import Call, Each
from pyasynq.core.message import TaskMessage, encode
from pyasynq.core.policy import ARCHIVE_S, MOST_ARCHIVED
from pyasynq.core.states import Order, TaskState

LEFT: Final = 1
RIGHT: Final = -1

_ANSWERS: Final = {1: Updated.DONE, 0: Updated.CHANGED, -1: Updated.LOCKED}


class RedisOrder:
    """The part of the inspection port that moves tasks; beside the part that looks for them."""

    _driver: Driver

    async def pause(self, queue: str) -> bool:
        """Let no task of *queue* be taken; False if that is so already."""
        words = ("SET", keys.paused(queue), int(time.time()), "NX")
        return await execute(self._driver, *words, once=True) is not None

    async def unpause(self, queue: str) -> bool:
        """Let tasks of *queue* be taken again; False if they are."""
        return bool(await execute(self._driver, "DEL", keys.paused(queue), once=True))

    async def order(self, order: Order, place: Place, ids: Sequence[str]) -> list[bool]:
        """Run, archive or delete up to 1,000 tasks of *place*; False for one that is not there."""
        each = [sent_id(task_id) for task_id in ids]
        if order is Order.RUN:
            call = _run(place, each)
        else:
            nearer = await self._nearer_end(place, ids)
            call = (_archive if order is Order.ARCHIVE else _delete)(place, each, nearer)
        return [answer == 1 for answer in cast("list[int]", await pipeline.run(self._driver, call))]

    async def update(self, found: Found, revised: TaskMessage) -> Updated:
        """Give the task the message *revised*, unless it has changed; its lock goes with it."""
        call = scripts.update(
            task=keys.task(found.place.queue, found.info.id),
            id=found.info.id,
            state=found.place.state.value,
            message=found.data,
            revised=encode(revised),
            lock=found.message.unique_key,
            new_lock=revised.unique_key,
        )
        return _ANSWERS[cast("int", await pipeline.run(self._driver, call))]

    async def reschedule(self, place: Place, task_id: str, at_s: int) -> bool:
        """Let a delayed task be due at *at_s* (Unix seconds); False if it is not there."""
        call = scripts.reschedule(source=keys.place(place), id=task_id, at_s=at_s)
        return await pipeline.run(self._driver, call) == 1

    async def _nearer_end(self, place: Place, ids: Sequence[str]) -> int:
        """Return from which end of a list to look for a single task: 1 is left, -1 right.

        To look through a list of a million takes 17 ms; so Redis is held for half of it, twice.
        """
        if place.state not in keys.LISTS or len(ids) != 1:
            return RIGHT
        key = keys.place(place)
        half = cast("int", await execute(self._driver, "LLEN", key)) // 2 + 1
        words = ("LPOS", key, ids[0], "RANK", RIGHT, "MAXLEN", half)
        return LEFT if await execute(self._driver, *words) is None else RIGHT


def _run(place: Place, each: Sequence[Each]) -> Call:
    pending = keys.container(place.queue, TaskState.PENDING)
    return scripts.run_tasks(each, pending=pending, **_source(place))


def _archive(place: Place, each: Sequence[Each], nearer: int) -> Call:
    archived = keys.container(place.queue, TaskState.ARCHIVED)
    return scripts.shelve(
        each,
        archived=archived,
        state=place.state.value,
        nearer=nearer,
        archive_s=ARCHIVE_S,
        most_archived=MOST_ARCHIVED,
        **_source(place),
    )


def _delete(place: Place, each: Sequence[Each], nearer: int) -> Call:
    return scripts.delete(each, state=place.state.value, nearer=nearer, **_source(place))


def _source(place: Place) -> dict[str, Word]:
    return {
        "source": keys.place(place),
        "groups": keys.groups(place.queue),
        "task_prefix": keys.task(place.queue),
        "group": place.group,
    }
