"""Schedulers: their entries, last ticks and histories."""

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Final, cast

from pyasynq.broker.ports.schedules import EntryStart, Position
from pyasynq.broker.protobuf_records import (
    entry_infos,
    entry_record,
    event_info,
    event_record,
)
from pyasynq.broker.records import read_records
from pyasynq.broker.redis import keys, pipeline, shared_keys
from pyasynq.broker.redis.connection import Driver, execute, execute_all
from pyasynq.broker.redis.lua import registry
from pyasynq.broker.redis.lua import schedules as scripts
from pyasynq.broker.redis.scripts import Call, blob
from pyasynq.core.errors import BrokerError
from pyasynq.core.info import SchedulerEntry, SchedulerEvent
from pyasynq.core.policy import (
    CREDIBLE_S,
    EARLY_S,
    ENDED_S,
    FORGOTTEN_S,
    HISTORY_S,
    MAX_BULK,
    MAX_BYTES,
    MAX_EVENTS,
    MAX_TASKS,
    MOST_ENDED,
)
from pyasynq.core.states import TaskState
from pyasynq.proto import asynq_pb2 as wire

_STATES: Final[Mapping[bytes | None, TaskState]] = {it.value.encode(): it for it in TaskState}


class RedisSchedules:
    """The port for schedules."""

    def __init__(self, driver: Driver) -> None:
        """Send calls over *driver*."""
        self._driver = driver
        self._shown: set[str] = set()

    async def begin(self, positions: Sequence[Position]) -> list[EntryStart | BrokerError]:
        """Return each entry's last tick; that of a new entry is *begin_s*, or now if earlier."""
        answers = await self._run_all(
            [
                scripts.begin_entry(
                    last=keys.last_tick(position.queue, position.entry_id),
                    begin_s=position.begin_s,
                    ttl_s=position.ttl_s,
                    early_s=EARLY_S,
                    credible_s=CREDIBLE_S,
                )
                for position in positions
            ]
        )
        return [
            answer if isinstance(answer, BrokerError) else _entry_start(cast("list[int]", answer))
            for answer in answers
        ]

    async def clock_s(self) -> float:
        """Return the clock of Redis, Unix seconds."""
        seconds, micros = cast("tuple[int, int]", await execute(self._driver, "TIME"))
        return seconds + micros / 1_000_000

    async def record(self, events: Sequence[tuple[str, SchedulerEvent]]) -> None:
        """Add each event to the history of the entry with the given id.

        Raises:
            BrokerError: If an event could not be added.
        """
        calls = [
            scripts.record_event(
                history=shared_keys.history(entry_id),
                at_s=int(event.enqueued_at.timestamp()),
                event=event_record(event).SerializeToString(),
                max_events=MAX_EVENTS,
                ttl_s=HISTORY_S,
            )
            for entry_id, event in events
        ]
        pipeline.raise_first(await self._run_all(calls))

    async def write_entries(
        self, scheduler_id: str, entries: Sequence[SchedulerEntry], *, ttl_s: int
    ) -> None:
        """Write the *entries* of a scheduler, which lives for *ttl_s* seconds more.

        Source:
            Protocol section 3.20 (asynq v0.26.0 ``RDB.WriteSchedulerEntries``).

        Differs:
            The TTL has no fraction: with one, Go's script fails, and its list stays (D50). It is
            longer by `ENDED_S`, so that the entries of a scheduler that has crashed are known;
            who lists entries asks the index which schedulers live.
        """
        key = shared_keys.scheduler(scheduler_id)
        records = [entry_record(entry).SerializeToString() for entry in entries]
        parts = pipeline.batches(repeat(key), map(len, records), most=MAX_BULK)
        for number, part in enumerate(parts or [[]], 1):
            call = scripts.write_entries(
                [blob(records[index]) for index in part],
                entries=key,
                coming=shared_keys.next_entries(scheduler_id),
                ttl_s=ttl_s + ENDED_S,
                first=int(number == 1),
                final=int(number >= len(parts)),
            )
            await pipeline.run(self._driver, call)
        list_scheduler = registry.add_to_index(
            index=shared_keys.SCHEDULERS, name=key, ttl_s=ttl_s, kept_s=ENDED_S
        )
        await pipeline.run(self._driver, list_scheduler)
        if scheduler_id not in self._shown:
            self._shown.add(scheduler_id)
            await self._forget_ended()

    async def _forget_ended(self) -> None:
        """Delete the entries of schedulers that have ended, except for the last `MOST_ENDED`."""
        now_s = int(await self.clock_s())
        command = ("ZRANGEBYSCORE", shared_keys.SCHEDULERS, "-inf", now_s - 1)
        ended = cast("list[bytes]", await execute(self._driver, *command))
        for key in ended[:-MOST_ENDED]:
            await self._clear(key)

    async def clear_entries(self, scheduler_id: str) -> None:
        """Delete the written entries of a scheduler."""
        await self._clear(shared_keys.scheduler(scheduler_id))

    async def _clear(self, key: str | bytes) -> None:
        await execute(self._driver, "ZREM", shared_keys.SCHEDULERS, key)
        await execute(self._driver, "DEL", key)

    async def forget(self, entry_id: str, queue: str) -> None:
        """Delete an entry's history, and let its last tick expire after `FORGOTTEN_S`."""
        await execute(self._driver, "DEL", shared_keys.history(entry_id))
        await execute(self._driver, "EXPIRE", keys.last_tick(queue, entry_id), FORGOTTEN_S)

    async def entries(self) -> list[SchedulerEntry]:
        """Return the entries of all live schedulers, without those that cannot be decoded.

        Source:
            Protocol section 8.7 (asynq v0.26.0 ``RDB.ListSchedulerEntries``).
        """
        live_keys = registry.live_keys(index=shared_keys.SCHEDULERS, kept_s=ENDED_S)
        found = cast("list[bytes]", await pipeline.run(self._driver, live_keys))
        records = [record for key in found for record in await self._entry_records(key)]
        return list(entry_infos(read_records(wire.SchedulerEntry, records)))

    async def entries_of(self, scheduler_id: str) -> list[SchedulerEntry]:
        """Return the entries of one scheduler, also if it has ended without clearing them."""
        records = await self._entry_records(shared_keys.scheduler(scheduler_id))
        return list(entry_infos(read_records(wire.SchedulerEntry, records)))

    async def events(self, entry_id: str, *, page: int, size: int) -> list[SchedulerEvent]:
        """Return a page of an entry's enqueue events, newest first; the first page is 1.

        Source:
            Protocol section 8.7 (asynq v0.26.0 ``RDB.ListSchedulerEnqueueEvents``).

        Differs:
            Leaves out an event that cannot be decoded; asynq then fails the whole list.
        """
        first = (page - 1) * size
        command = ("ZREVRANGE", shared_keys.history(entry_id), first, first + size - 1)
        found = cast("list[bytes]", await execute(self._driver, *command))
        return [event_info(event) for event in read_records(wire.SchedulerEnqueueEvent, found)]

    async def states(self, tasks: Sequence[tuple[str, str]]) -> list[TaskState | None]:
        """Return the states of tasks, each with its queue and id; None if there is no such task."""
        found: list[object] = []
        for at in range(0, len(tasks), MAX_BULK):
            some = tasks[at : at + MAX_BULK]
            commands = [("HGET", keys.task(queue, task_id), "state") for queue, task_id in some]
            found += await execute_all(self._driver, commands)
        return [_STATES.get(cast("bytes | None", state)) for state in found]

    async def _entry_records(self, key: str | bytes) -> list[bytes]:
        """Return the records of one scheduler; it may replace them while they are read."""
        found: list[bytes] = []
        while True:
            call = scripts.read_entries(
                entries=key, start=len(found), limit=MAX_TASKS, max_bytes=MAX_BYTES
            )
            step = cast("list[bytes]", await pipeline.run(self._driver, call))
            if not step:
                return found
            found += step

    async def _run_all(self, calls: Sequence[Call]) -> list[object]:
        answers: list[object] = []
        for at in range(0, len(calls), MAX_TASKS):
            answers += await pipeline.run_all(self._driver, calls[at : at + MAX_TASKS])
        return answers


def _entry_start(answer: Sequence[int]) -> EntryStart:
    last_s, known, rejected_s = answer
    return EntryStart(
        last_s=last_s, known=known == 1, rejected_s=None if rejected_s < 0 else rejected_s
    )
