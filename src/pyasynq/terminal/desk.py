"""What all pages share: the broker, the operator, and whether the broker answers."""

import functools
import getpass
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pyasynq.core.errors import PyasynqError
from pyasynq.operations.jobs import Job, new_job
from pyasynq.operations.permissions import Permission, Principal, Role
from pyasynq.operations.search import parse
from pyasynq.operations.services import Services

TABS: Final = {
    "o": "Overview",
    "y": "Types",
    "t": "Tasks",
    "f": "Flows",
    "p": "Groups",
    "w": "Workers",
    "s": "Schedules",
    "r": "Redis",
    "a": "Audit",
}
"""The pages, by the key that follows ``g``; the dashboard for browsers has the same. ``Redis``
stands for the name of the broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why the broker cannot be read, and since when."""

    since: datetime
    why: str


class Desk:
    """The broker, the operator, and whether the broker answers.

    Attributes:
        services: Reads and acts.
        read_only: Whether nothing may be changed.
        principal: The operator in the audit: the user of this machine.
        trouble: Why the broker cannot be read; None if it can.
    """

    def __init__(self, services: Services, *, read_only: bool) -> None:
        """Begin with a broker that is taken to answer."""
        self.services: Services = services
        self.read_only: bool = read_only
        role = Role.VIEWER if read_only else Role.ADMIN
        self.principal: Principal = Principal(name=_user(), role=role)
        self.trouble: Trouble | None = None
        self._answered_s = time.monotonic()

    @property
    def titles(self) -> dict[str, str]:
        """The titles of all pages, by their keys."""
        return {**TABS, "r": self.services.broker.name}

    @property
    def age_s(self) -> float:
        """Seconds since the broker was last read."""
        return time.monotonic() - self._answered_s

    def record_answer(self) -> None:
        """Note that the broker was read."""
        self.trouble, self._answered_s = None, time.monotonic()

    def record_failure(self, error: PyasynqError) -> None:
        """Note that the broker could not be read."""
        since = self.trouble.since if self.trouble else datetime.now(UTC)
        self.trouble = Trouble(since=since, why=str(error))

    @property
    def refusal(self) -> str | None:
        """Why nothing can be changed now; None if something can."""
        if self.read_only:
            return "nothing can be changed here: it was started with --read-only"
        if self.trouble is not None:
            return f"nothing can be changed while {self.services.broker.name} does not answer"
        return None

    # -- all tasks that match ----------------------------------------------------------------------

    @property
    def running(self) -> Job | None:
        """The newest job that changes tasks now; None if none does."""
        jobs = self.services.jobs.listed()
        return next((it for it in jobs if it.status == "running" and not it.dry_run), None)

    async def count(self, action: Permission, line: str) -> Job:
        """Count the tasks that match *line* and that *action* can be done to.

        Raises:
            SearchError: If *line* cannot be read.
            TooManyJobsError: If too many jobs run.
        """
        job, query = new_job(action, line, self.principal.name, dry_run=True), parse(line)
        return await self._run(job, lambda job: self.services.jobs.change(job, query, None))

    async def change(self, action: Permission, line: str, at: datetime | None = None) -> Job:
        """Do *action* to all tasks that match *line*; return when that is done or was stopped.

        Args:
            action: What is done.
            line: A search line.
            at: When the tasks are due; only to reschedule them.

        Raises:
            SearchError: If *line* cannot be read.
            TooManyJobsError: If too many jobs run.
        """
        job, query = new_job(action, line, self.principal.name), parse(line)
        return await self._run(job, lambda job: self.services.jobs.change(job, query, at))

    async def delete_queue(self, queue: str, size: int) -> Job:
        """Delete *queue*, which is known to have *size* tasks; return when that is done.

        If *size* is 0 and it has some now, it stays.

        Raises:
            TooManyJobsError: If too many jobs run.
        """
        job = new_job(Permission.QUEUE_DELETE, queue, self.principal.name)
        job.total = job.matched = size
        jobs = self.services.jobs
        return await self._run(job, functools.partial(jobs.delete_queue, force=size > 0))

    def stop_counting(self, line: str) -> None:
        """Stop to count the tasks that match *line*."""
        for job in self.services.jobs.listed():
            if job.dry_run and job.q == line:
                self.services.jobs.stop(job.id)

    async def _run(self, job: Job, work: Callable[[Job], Awaitable[object]]) -> Job:
        jobs = self.services.jobs
        jobs.begin(job, self.principal, work)
        await jobs.wait(job)
        return job


def _user() -> str:
    """Return the name of the user; the process may have an id without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
