"""Read the entries of schedulers, and pause, resume and run them.

Source:
    Protocol section 8.7 (asynq v0.26.0 ``inspector.go``); asynq cannot pause or run an entry.
"""

import math
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Unpack, cast

from pyasynq.broker import NewTask
from pyasynq.core.codec import NO_CODECS
from pyasynq.core.entry_errors import (
    EntryNotFoundError,
    EntryNotPausableError,
    EntryNotPausedError,
    EntryPausedError,
)
from pyasynq.core.entry_task import EntryTask
from pyasynq.core.errors import BrokerError, OptionError
from pyasynq.core.info import SchedulerEntry, SchedulerEvent, TaskInfo
from pyasynq.core.options import EnqueueOptions, check_all, check_count, check_name
from pyasynq.core.task import Task
from pyasynq.inspector.filters import MAX_RANK
from pyasynq.inspector.reader import PAGE_SIZE, Reader
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.inspector")


class EntryInspector(Reader):
    """Reads and controls the entries of schedulers."""

    async def scheduler_entries(self) -> list[SchedulerEntry]:
        """Return the periodic tasks of all live schedulers."""
        entries = await self._broker.schedules.entries()
        pauses = await self._broker.entries.pauses()
        return [replace(entry, paused=pauses.get(entry.id) == math.inf) for entry in entries]

    async def scheduler_events(
        self, entry_id: str, *, page: int = 1, size: int = PAGE_SIZE
    ) -> list[SchedulerEvent]:
        """Return one page of the tasks that an entry enqueued, newest first.

        Tasks of `run_entry` are among them.

        Raises:
            OptionError: If an argument is not allowed.
        """
        check_name("entry_id", entry_id)
        check_count("page", page, MAX_RANK)
        check_count("size", size, MAX_RANK)
        return await self._broker.schedules.events(entry_id, page=page, size=size)

    async def pause_entry(self, entry_id: str) -> None:
        """Stop schedulers from enqueueing an entry until `resume_entry`.

        Schedulers of pyasynq obey at the next tick, also after a restart; a tick that is being
        enqueued is not stopped. Go's schedulers and those of earlier versions do not obey.

        Raises:
            EntryNotFoundError: If no scheduler has the entry, and none had it lately.
            EntryNotPausableError: If only schedulers that do not obey have it.
            EntryPausedError: If it is paused already.
        """
        task = await self._stored_task(entry_id)
        if task is None:
            await self._find_listed(entry_id)
            raise EntryNotPausableError(entry_id)
        if not await self._broker.entries.pause(entry_id, ttl_s=task.ttl_s):
            raise EntryPausedError(entry_id)

    async def resume_entry(self, entry_id: str) -> None:
        """Let schedulers enqueue an entry again, from its next tick on.

        The ticks until now are not made up for.

        Raises:
            EntryNotPausedError: If it is not paused, or does not exist.
        """
        if not await self._broker.entries.resume(check_name("entry_id", entry_id)):
            raise EntryNotPausedError(entry_id)

    async def run_entry(self, entry_id: str, **options: Unpack[EnqueueOptions]) -> TaskInfo:
        """Enqueue the task of an entry now, also if the entry is paused or no scheduler runs.

        Its ticks stay as they are. Hooks and client middleware of its schedulers are not called.

        Args:
            entry_id: The entry.
            **options: Options that win over those of the entry.

        Raises:
            OptionError: If an option is not allowed, or if a scheduler of Go or of an earlier
                version does not list the queue of the entry; then give the *queue*.
            EntryNotFoundError: If no scheduler has the entry, and none had it lately.
            CodecError: If its payload is sealed with a codec that fails, or that this inspector
                does not have.
            DuplicateTaskError: If another task holds its unique lock.
            TaskIDConflictError: If its options give an id, and another task has it.
        """
        given = check_all(cast("dict[str, object]", options))
        task = await self._stored_task(entry_id)
        if task is None:
            task = _listed_task(await self._find_listed(entry_id), given.queue)
        now, task_id = datetime.now(UTC), str(uuid.uuid4())
        composed = task.compose(given, self._codecs, now=now, task_id=task_id)
        (refusal,) = await self._broker.creation.create([NewTask(composed.plan)])
        if isinstance(refusal, Exception):
            raise refusal
        info = composed.info()
        await self._record(entry_id, SchedulerEvent(task_id=info.id, enqueued_at=now))
        return info

    async def _stored_task(self, entry_id: str) -> EntryTask | None:
        return await self._broker.entries.task(check_name("entry_id", entry_id))

    async def _find_listed(self, entry_id: str) -> SchedulerEntry:
        for entry in await self._broker.schedules.entries():
            if entry.id == entry_id:
                return entry
        raise EntryNotFoundError(entry_id)

    async def _record(self, entry_id: str, event: SchedulerEvent) -> None:
        try:
            await self._broker.schedules.record([(entry_id, event)])
        except BrokerError as error:  # an error would say that nothing was enqueued
            log.warning("an enqueued task is missing in a scheduler history: %s", error)


def _listed_task(entry: SchedulerEntry, queue: str | None) -> EntryTask:
    """Return what is listed of an entry that no scheduler of this version has.

    The options that were given with the task itself are not listed. One of them may be the queue,
    and in a wrong queue perhaps no worker would run the task.

    Raises:
        OptionError: If neither the entry nor *queue* names a queue.
    """
    queue = queue or entry.options.queue
    if queue is None:
        raise OptionError("queue", None, f"given: the scheduler of entry {entry.id!r} lists none")
    # Go's tasks without payload are listed with an empty one.
    task = Task(entry.task.type, entry.task.payload or None)
    return EntryTask.of(entry.id, queue, task, entry.options, NO_CODECS, ttl_s=0)
