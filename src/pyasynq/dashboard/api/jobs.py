"""Routes about actions on all tasks that match."""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from pyasynq.dashboard.api.search_lines import parse_line
from pyasynq.dashboard.problems import Problem
from pyasynq.dashboard.routes import Call, Handler, Nothing, Route, acts_on, reads
from pyasynq.operations.jobs import new_job
from pyasynq.operations.permissions import Permission


class JobInput(msgspec.Struct, frozen=True, kw_only=True):
    """A job."""

    id: str


class StopInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job that is to be stopped."""

    id: str


class MatchInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All tasks that match a search line; *dry_run* only counts them."""

    q: str
    dry_run: bool = False


class RescheduleInput(MatchInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, and when they are to run: *at*, or *in* seconds."""

    at: datetime | None = None
    in_s: float | None = msgspec.field(default=None, name="in")


def time_of(at: datetime | None, in_s: float | None) -> datetime:
    """Return the instant that one of both gives.

    Raises:
        Problem: If none or both are given, or the instant has no time zone.
    """
    if (at is None) == (in_s is None):
        raise Problem(400, "invalid", 'give either "at" or "in"', field="at")
    if in_s is not None:
        try:
            return datetime.now(UTC) + timedelta(seconds=in_s)
        except (OverflowError, ValueError):
            raise Problem(400, "invalid", "that is no time", field="in") from None
    if at is None or at.utcoffset() is None:
        raise Problem(400, "invalid", '"at" needs a time zone', field="at")
    return at


async def list_jobs(call: Call, _given: Nothing) -> object:
    """Return the last jobs, the newest first."""
    return {"items": call.services.jobs.listed()}


async def show_job(call: Call, given: JobInput) -> object:
    """Return a job."""
    return call.services.jobs.get(given.id)


async def stop_job(call: Call, given: StopInput) -> object:
    """Stop a job after its present batch."""
    job = call.services.jobs.stop(given.id)
    await call.services.audit.write(call.principal, Permission.JOB_STOP, f"{job.action} {job.q}")
    return job


def _begin(permission: Permission) -> Handler:
    """Return a handler that begins to do something to all tasks that match."""

    async def handle(call: Call, given: MatchInput) -> object:
        jobs, at = call.services.jobs, None
        query = parse_line(given.q)
        if not query.terms:
            text = "an empty line would mean all tasks: write state:*, for instance"
            raise Problem(400, "invalid", text, field="q")
        if isinstance(given, RescheduleInput) and not given.dry_run:
            at = time_of(given.at, given.in_s)
        job = new_job(permission, given.q, call.principal.name, dry_run=given.dry_run)

        return jobs.begin(job, call.principal, lambda job: jobs.change(job, query, at))

    return handle


_act_on_matching: Final = acts_on("Matching", "/jobs", status=202)


def _act(permission: Permission, input: type[MatchInput] = MatchInput) -> Route:
    action = permission.value.removeprefix("task.")
    summary = f"Begin to {action} all tasks that match a search line, or count them"
    return _act_on_matching(permission, input, _begin(permission), summary)


ROUTES: Final = (
    reads("listJobs", "/jobs", Nothing, list_jobs, "Actions on all tasks that match"),
    reads("showJob", "/job", JobInput, show_job, "One of them"),
    acts_on("Job", "/jobs")(
        Permission.JOB_STOP,
        StopInput,
        stop_job,
        "Stop an action on all tasks that match; what is done stays done",
    ),
    _act(Permission.TASK_RUN),
    _act(Permission.TASK_ARCHIVE),
    _act(Permission.TASK_DELETE),
    _act(Permission.TASK_CANCEL),
    _act(Permission.TASK_RESCHEDULE, RescheduleInput),
)
