"""Delete what is kept only for a time.

Source:
    Protocol sections 3.11, 3.16 and 6.10 (asynq v0.26.0 ``janitor.go``).

Differs:
    Also trims the archive, in chunks, so that Go's trimming never fails (D21).
"""

from collections.abc import Sequence

from pyasynq.actor import Actor, Link
from pyasynq.broker import MaintainPath
from pyasynq.clock import Clock


class Janitor(Actor):
    """Deletes completed tasks past their retention and archived ones beyond their limits."""

    name = "janitor"

    def __init__(
        self,
        path: MaintainPath,
        queues: Sequence[str],
        *,
        period_s: float,
        batch: int,
        clock: Clock,
        link: Link,
    ) -> None:
        """Clean *queues* every *period_s* seconds, *batch* tasks in one script."""
        super().__init__(clock=clock, link=link)
        self._path = path
        self._queues = queues
        self._period_s = period_s
        self._batch = batch

    async def step(self) -> float:
        """Clean every queue."""
        for queue in self._queues:
            deleted = 1
            while deleted:
                deleted = await self._path.expire_completed(queue, limit=self._batch)
                deleted += await self._path.trim_archived(queue)
        return self._period_s
