"""Actions on all tasks that match: they run in bounded batches, and can be stopped."""

import asyncio
import functools
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias, cast

from pyasynq.broker import Deleted, Move
from pyasynq.core.errors import (
    PoisonError,
    PyasynqError,
    QueueNotFoundError,
    TaskNotFoundError,
    TaskStateError,
)
from pyasynq.core.states import ALLOWED_STATES, Action, TaskState
from pyasynq.inspector import Inspector
from pyasynq.inspector.actions import BATCH, Actions, Choose
from pyasynq.operations.audit import Audit
from pyasynq.operations.concurrency import AT_ONCE, gather
from pyasynq.operations.finder import WITH_ERRORS, Finder, Place
from pyasynq.operations.permissions import Permission, Principal
from pyasynq.operations.search import Query
from pyasynq.runtime.loggers import get_logger

MOST_RUNNING: Final = 4
"""Jobs that run at once."""

KEPT: Final = 20
"""Jobs that are listed."""

Status: TypeAlias = Literal["running", "done", "stopped", "failed"]

log: Final = get_logger("pyasynq.dashboard")


@dataclass(slots=True, kw_only=True)
class Job:
    """One action on all tasks that match; its numbers grow while it runs.

    Attributes:
        id: Its id.
        action: What it does.
        q: The search line.
        dry_run: Whether it only counts.
        by: Name of the principal who began it.
        status: Its status.
        total: Tasks in the places that are searched.
        looked_at: Tasks that were looked at.
        matched: Tasks that match.
        done: Tasks that were changed.
        refused: Tasks that match, but had moved on meanwhile.
        queues: Tasks that match, by queue.
        started: When it began.
        ended: When it ended; None while it runs.
        error: Why it failed, if it did.
    """

    id: str
    action: Permission
    q: str
    dry_run: bool
    by: str
    status: Status = "running"
    total: int = 0
    looked_at: int = 0
    matched: int = 0
    done: int = 0
    refused: int = 0
    queues: dict[str, int] = field(default_factory=dict[str, int])
    started: datetime
    ended: datetime | None = None
    error: str | None = None


class JobNotFoundError(PyasynqError):
    """There is no job with this id.

    Attributes:
        id: The id.
    """

    def __init__(self, id: str) -> None:
        """Name the *id*."""
        self.id = id
        super().__init__(f"there is no job {id!r}: it ended some time ago, or in another process")


class TooManyJobsError(PyasynqError):
    """Too many jobs run already.

    Attributes:
        most: Jobs that may run at once.
    """

    def __init__(self, most: int) -> None:
        """Say how many run."""
        self.most = most
        super().__init__(f"{most} jobs run already: wait, or stop one")


class _Stopped(Exception):
    """An operator has stopped the job."""


STATES: Final[Mapping[Permission, frozenset[TaskState]]] = {
    Permission.TASK_RUN: ALLOWED_STATES[Action.RUN],
    Permission.TASK_ARCHIVE: ALLOWED_STATES[Action.ARCHIVE],
    Permission.TASK_DELETE: ALLOWED_STATES[Action.DELETE],
    Permission.TASK_RESCHEDULE: ALLOWED_STATES[Action.RESCHEDULE],
    Permission.TASK_CANCEL: frozenset({TaskState.ACTIVE}),
}
"""For each action, the states in which it is allowed; tasks in others are not looked at."""

MOVES: Final[Mapping[Permission, Move]] = {
    Permission.TASK_RUN: Action.RUN,
    Permission.TASK_ARCHIVE: Action.ARCHIVE,
    Permission.TASK_DELETE: Action.DELETE,
}


class Jobs:
    """Begins, lists and stops jobs; they go on if nobody looks, and end with the process."""

    def __init__(
        self, inspector: Inspector, actions: Actions, finder: Finder, audit: Audit
    ) -> None:
        """Change tasks by *inspector* and *actions*; write to *audit* what begins and ends."""
        self._inspector = inspector
        self._actions = actions
        self._finder = finder
        self._audit = audit
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stopping: set[str] = set()

    def listed(self) -> list[Job]:
        """Return the last jobs, the newest first."""
        return list(reversed(self._jobs.values()))

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            JobNotFoundError: If there is none with this id.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        return job

    def begin(
        self, job: Job, principal: Principal, work: Callable[[Job], Awaitable[object]]
    ) -> Job:
        """Begin *job*, which *work* does for *principal*.

        Raises:
            TooManyJobsError: If too many jobs run.
        """
        if len(self._running) >= MOST_RUNNING:
            raise TooManyJobsError(MOST_RUNNING)
        self._jobs[job.id] = job
        for old in [it for it in self._jobs if it not in self._running][:-KEPT]:
            del self._jobs[old]
        name = f"pyasynq {job.action}"
        task = asyncio.create_task(self._run(job, principal, work), name=name)
        self._running[job.id] = task
        task.add_done_callback(lambda _: self._running.pop(job.id, None))
        return job

    async def wait(self, job: Job) -> None:
        """Return when *job* has ended."""
        if (running := self._running.get(job.id)) is not None:
            await asyncio.wait([running])

    def stop(self, job_id: str) -> Job:
        """Stop a job after its present batch; what is done stays done."""
        job = self.get(job_id)
        if job.status == "running":
            self._stopping.add(job_id)
        return job

    async def aclose(self) -> None:
        """Stop all jobs."""
        jobs = list(self._running.values())
        for job in jobs:
            job.cancel()
        if jobs:
            await asyncio.wait(jobs)

    async def _run(
        self, job: Job, principal: Principal, work: Callable[[Job], Awaitable[object]]
    ) -> None:
        status: Status = "failed"
        try:
            await self._write(job, principal, "begun")
            await work(job)
            status = "done"
        except _Stopped:
            status = "stopped"
        except PyasynqError as error:
            job.error = str(error)
        except asyncio.CancelledError:
            job.error = "the dashboard was stopped"
            raise
        except Exception:
            job.error = "the dashboard has a fault; its log has the traceback"
            log.exception("job %s failed", job.action)
        finally:
            job.status, job.ended = status, datetime.now(UTC)
            self._stopping.discard(job.id)
            await self._write(job, principal, status)

    async def _write(self, job: Job, principal: Principal, outcome: str) -> None:
        """Write to the audit how far *job* is, unless it only counts."""
        if not job.dry_run:
            count, why = job.done, job.error or ""
            await self._audit.write(
                principal, job.action, job.q, count=count, outcome=outcome, detail=why
            )

    def _check_stop(self, job: Job) -> None:
        if job.id in self._stopping:
            raise _Stopped

    # -- the work of jobs --------------------------------------------------------------------------

    async def delete_queue(self, job: Job, *, force: bool) -> None:
        """Delete the queue that *job* names, with its tasks only by *force*; nothing stops it."""

        def progress(count: int) -> None:
            job.done = job.looked_at = count

        await self._inspector.delete_queue(job.q, force=force, progress=progress)

    async def change(self, job: Job, query: Query, at: datetime | None) -> None:
        """Do the action of *job* to all tasks that meet *query*, or only count them."""
        allowed = STATES[job.action]
        places = [it for it in await self._finder.places(query) if it.container.state in allowed]
        job.total = sum(place.size for place in places)
        for place in places:
            if job.dry_run:
                await self._count(job, query, place)
            elif (text := self._error_to_delete(job, query, place)) is not None:
                await self._delete_errors(job, text, place)
            elif (move := MOVES.get(job.action)) is not None:
                await self._move(job, query, place, move)
            else:
                await self._change_each(job, query, place, at)

    async def _count(self, job: Job, query: Query, place: Place) -> None:
        if query.only_places:
            job.looked_at += place.size
            _match(job, place, place.size)
            return
        await self._choose_all(job, query, place)

    async def _choose_all(self, job: Job, query: Query, place: Place) -> list[str]:
        """Return the ids of all tasks of *place* that meet *query*."""
        choose, ids = self._chooser(job, query, place), list[str]()
        for start in range(0, place.size, BATCH):
            ids += await choose(start, min(BATCH, place.size - start))
            self._check_stop(job)
        return ids

    def _chooser(self, job: Job, query: Query, place: Place) -> Choose:
        """Return a function that chooses tasks of *place*, and counts them in *job*."""

        async def choose(start: int, count: int) -> Sequence[str]:
            found = await self._finder.matches(query, place.container, start, count)
            job.looked_at += found.looked_at
            _match(job, place, len(found.ids))
            return found.ids

        return choose

    def _error_to_delete(self, job: Job, query: Query, place: Place) -> str | None:
        """Return the text for `Actions.delete_errors` if that does what *job* is to do."""
        can = job.action is Permission.TASK_DELETE and place.container.state in WITH_ERRORS
        return query.only_error if can else None

    async def _delete_errors(self, job: Job, text: str, place: Place) -> None:
        def progress(some: Deleted) -> None:
            job.looked_at += some.looked_at
            job.done += some.deleted
            _match(job, place, some.deleted)
            self._check_stop(job)

        with suppress(QueueNotFoundError):  # it was removed meanwhile, with its tasks
            await self._actions.delete_errors(place.container, text, progress)

    async def _move(self, job: Job, query: Query, place: Place, move: Move) -> None:
        done, matched = job.done, job.matched

        def progress(moved: int) -> None:
            if query.only_places:
                new = moved - (job.done - done)
                job.looked_at += new
                _match(job, place, new)
            job.done = done + moved
            self._check_stop(job)

        choose = None if query.only_places else self._chooser(job, query, place)
        try:
            await self._actions.move_all(move, place.container, progress, choose)
        except QueueNotFoundError:  # it was removed meanwhile, with its tasks
            return
        finally:
            job.refused += (job.matched - matched) - (job.done - done)

    async def _change_each(self, job: Job, query: Query, place: Place, at: datetime | None) -> None:
        """Change the tasks one by one; they stay where they are, or leave in their own time."""
        ids = await self._choose_all(job, query, place)
        for first in range(0, len(ids), AT_ONCE):
            self._check_stop(job)
            batch = ids[first : first + AT_ONCE]
            change = functools.partial(self._change_one, job, place.container.queue, at)
            await gather(batch, change)

    async def _change_one(self, job: Job, queue: str, at: datetime | None, task_id: str) -> None:
        try:
            if job.action is Permission.TASK_CANCEL:
                await self._inspector.cancel(task_id)
            else:
                await self._inspector.reschedule(queue, task_id, cast("datetime", at))
            job.done += 1
        except (TaskNotFoundError, TaskStateError, PoisonError):
            job.refused += 1


def new_job(action: Permission, q: str, by: str, *, dry_run: bool = False) -> Job:
    """Return a job that has not begun."""
    now = datetime.now(UTC)
    return Job(id=uuid.uuid4().hex, action=action, q=q, dry_run=dry_run, by=by, started=now)


def _match(job: Job, place: Place, count: int) -> None:
    if count:
        job.matched += count
        queue = place.container.queue
        job.queues[queue] = job.queues.get(queue, 0) + count
