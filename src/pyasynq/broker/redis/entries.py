"""What entries of schedulers enqueue, and which of them are paused."""

import math
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import cast

from pyasynq.broker.records import read_entry_task, write_entry_task
from pyasynq.broker.redis import pipeline, shared_keys
from pyasynq.broker.redis.connection import Driver, execute, execute_all
from pyasynq.broker.redis.lua import entries as scripts
from pyasynq.core.entry_task import EntryTask
from pyasynq.core.policy import UNKEPT_S


class RedisEntries:
    """The port for the control of entries."""

    def __init__(self, driver: Driver) -> None:
        """Send calls over *driver*."""
        self._driver = driver

    async def keep(self, tasks: Sequence[EntryTask]) -> None:
        """Store what entries enqueue, each for its *ttl_s*; their pauses last at least as long."""
        records = [write_entry_task(task) for task in tasks]
        for part in pipeline.batches(repeat(shared_keys.PAUSES), map(len, records)):
            some = [tasks[index] for index in part]
            await execute_all(
                self._driver,
                [
                    ("SET", shared_keys.entry_task(task.entry_id), records[index], "EX", task.ttl_s)
                    for index, task in zip(part, some, strict=True)
                ],
            )
            call = scripts.extend_pauses(
                [value for task in some for value in (task.entry_id, task.ttl_s)],
                pauses=shared_keys.PAUSES,
            )
            await pipeline.run(self._driver, call)

    async def task(self, entry_id: str) -> EntryTask | None:
        """Return what an entry enqueues; None if it is not stored, or cannot be decoded."""
        found = await execute(self._driver, "GET", shared_keys.entry_task(entry_id))
        return read_entry_task(cast("bytes | None", found))

    async def pause(self, entry_id: str, *, ttl_s: int) -> bool:
        """Pause an entry for *ttl_s* seconds, or longer if it is kept; False if it is paused."""
        call = scripts.pause_entry(pauses=shared_keys.PAUSES, entry_id=entry_id, ttl_s=ttl_s)
        return await pipeline.run(self._driver, call) == 1

    async def resume(self, entry_id: str) -> bool:
        """Resume an entry; False if it is not paused."""
        call = scripts.resume_entry(pauses=shared_keys.PAUSES, entry_id=entry_id)
        return await pipeline.run(self._driver, call) == 1

    async def pauses(self) -> Mapping[str, float]:
        """Return, for each entry that is or was paused, up to when its ticks are left out."""
        call = scripts.read_pauses(pauses=shared_keys.PAUSES)
        found = cast("list[bytes]", await pipeline.run(self._driver, call))
        return {
            entry_id.decode(errors="replace"): float(resumed_s or math.inf)
            for entry_id, resumed_s in zip(found[::2], found[1::2], strict=True)
        }

    async def forget(self, entry_id: str) -> None:
        """Let what is known about an entry expire after `UNKEPT_S`, unless it is kept again."""
        await execute(self._driver, "EXPIRE", shared_keys.entry_task(entry_id), UNKEPT_S)
        call = scripts.forget_pause(pauses=shared_keys.PAUSES, entry_id=entry_id, ttl_s=UNKEPT_S)
        await pipeline.run(self._driver, call)
