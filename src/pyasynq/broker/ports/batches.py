"""Create tasks all together, or none of them, and count those of a batch when they end."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from pyasynq.core.batch import BatchInfo, BatchPlan
from pyasynq.core.compose import Plan
from pyasynq.core.policy import BATCH_IDLE_S, BATCH_STAGED_S, BATCH_SWEEP_S


class BatchRef(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks of one queue that are created together.

    Attributes:
        queue: Their queue.
        id: Id of the batch.
        home: The queue whose part decides whether the tasks in all queues run; often *queue*.
    """

    queue: str
    id: str
    home: str


class BatchRepair(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a queue, and done about it.

    Attributes:
        released: Tasks that their client had decided to run, but not released.
        discarded: Batches whose client has gone before it decided.
        noticed: Members of batches that had ended without a report, and are counted now.
        broken: Ids of batches whose records cannot be read.
    """

    released: int
    discarded: int
    noticed: int = 0
    broken: Sequence[str] = ()


class BatchPort(Protocol):
    """Create tasks all together, or none of them.

    They are staged in chunks, then `commit` decides, and `release` gives them to the workers. What
    a client leaves undone, `repair` does.
    """

    async def stage(self, batch: BatchRef, plans: Sequence[Plan], *, first: int) -> None:
        """Create tasks that nobody takes before they are released.

        Args:
            batch: The batch. Inspectors know its queue from now on.
            plans: Tasks of its queue; none to find out whether the batch is still there.
            first: Number of its tasks that were staged before. A call whose answer was lost may be
                made again.

        Raises:
            TaskIDConflictError: If one of the ids is taken.
            DuplicateTaskError: If one of the locks is held.
            BrokerError: If the broker fails, or has deleted the batch meanwhile.
        """
        ...

    async def commit(self, totals: Sequence[tuple[BatchRef, int]]) -> None:
        """Decide that staged tasks are to run: all of them, even if the caller dies now.

        Args:
            totals: The parts of a batch with the number of their tasks; the first is the home.

        Raises:
            BrokerError: If the broker fails; it may have decided. See `discard`.
        """
        ...

    async def start(self, batch: BatchRef, total: int, plan: BatchPlan) -> None:
        """Decide that the *total* staged tasks of *batch* are to run, and are counted.

        Without tasks the batch ends at once. The tasks of a map are held until its flow begins it.
        Then some are released, and others whenever some have ended, so nobody calls `release`.

        Raises:
            BrokerError: If the broker fails; it may have decided. See `discard`.
        """
        ...

    async def read(self, queue: str, batch_id: str) -> BatchInfo | None:
        """Return a batch whose tasks are counted; None if there is no such batch."""
        ...

    async def outputs(self, queue: str, batch_id: str) -> Mapping[int, bytes] | None:
        """Return what the members of a map have reported, by their numbers.

        None if there is no such map, or it keeps no results.
        """
        ...

    async def retry(self, queue: str, batch_id: str) -> bool:
        """Run the failed members of a batch that has ended again, without spent retries.

        Members whose tasks are no longer archived stay failed; so do those whose numbers are not
        kept (see `failed_members`). False if the batch has not failed, or belongs to a flow, which
        retries it.
        """
        ...

    async def cancel(
        self, queue: str, batch_id: str, *, times: int | None = None
    ) -> Sequence[str] | None:
        """Cancel a batch: nothing follows it, and members that wait are deleted, in steps.

        A broker may leave members for the workers, which ask `is_cancelled`.

        Args:
            queue: Its queue.
            batch_id: Its id.
            times: For a map that its flow has begun, how often it was retried. It is cancelled also
                if the letter that begins it is still on its way. None for others.

        Returns:
            The ids of members that run; None if the batch does not run.
        """
        ...

    async def is_cancelled(self, queue: str, batch_id: str) -> bool:
        """Return whether a batch is cancelled, so that its members must not begin."""
        ...

    async def read_all(self, queue: str, start: int, count: int) -> Sequence[BatchInfo]:
        """Return up to *count* batches of *queue*, without the first *start*.

        Those that run come first, the one with the oldest change before all; then those that have
        ended, the next to be deleted first. Tasks that are only created together are left out.
        """
        ...

    async def failed_members(self, queue: str, batch_id: str) -> Sequence[str]:
        """Return the ids of the members that have failed, at most 10,000, in their order."""
        ...

    async def release(self, batch: BatchRef) -> int:
        """Give up to `MAX_BULK` staged tasks to the workers; return how many these were."""
        ...

    async def discard(self, batch: BatchRef) -> bool:
        """Delete the staged or held tasks of a queue, in steps; False if they are to run."""
        ...

    async def repair(
        self,
        queue: str,
        *,
        idle_s: int = BATCH_IDLE_S,
        swept_s: int = BATCH_SWEEP_S,
        staged_s: int = BATCH_STAGED_S,
    ) -> BatchRepair:
        """Go on with up to 100 batches of *queue* whose clients have gone.

        Args:
            queue: The queue.
            idle_s: Seconds without a change after which decided tasks are released.
            swept_s: Seconds without a change after which members are looked for that have ended
                without a report.
            staged_s: Seconds without a change after which tasks are deleted that are not decided.
        """
        ...
