"""Add to a verdict what follows it: the tasks of the handler and of the hooks, and a report."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from pyasynq.broker import Lease, WorkPort
from pyasynq.client.client import MAX_PAYLOAD
from pyasynq.client.flow_template import SUBFLOW
from pyasynq.client.ids import new_ids
from pyasynq.core.batch import make_member, member_id
from pyasynq.core.compose import Composer, Plan
from pyasynq.core.continuation import (
    event_of,
    follow_up,
    options_after,
    outcome_of,
    recovery_of,
)
from pyasynq.core.extension_errors import CodecError
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import Options
from pyasynq.core.outcome import Event, Outcome
from pyasynq.core.report import HEADER, Entry, Place, Report, place_of, report_on
from pyasynq.core.task import Task, check_task
from pyasynq.core.verdict import Archive, Verdict
from pyasynq.runtime.callbacks import call_guarded, calls_callback
from pyasynq.runtime.loggers import get_logger
from pyasynq.server.config import Config
from pyasynq.server.context import AddedTask
from pyasynq.server.hooks import MakeTask

log: Final = get_logger("pyasynq.server")


class Continuations:
    """Adds to verdicts what follows them."""

    def __init__(self, config: Config) -> None:
        """Use the hooks, codecs and client middleware of *config*."""
        self._hooks = config.hooks
        self._middleware = config.client_middleware
        self._codecs = config.codecs
        self._clock = config.clock
        self._composer = Composer(config.codecs)
        self._limited = Composer(config.codecs, max_payload=MAX_PAYLOAD)

    async def compose(
        self, added: Sequence[AddedTask], lease: Lease, port: WorkPort
    ) -> tuple[Plan, ...]:
        """Return the plans for the tasks that the handler of *lease* has *added*.

        They pass through the client middleware, each in the context in which it was added. Those
        for its batch get their numbers from *port*.

        Raises:
            OptionError: If a task is too large, or cannot be a member of the batch.
            BrokerError: If the broker gives no numbers.
            CodecError: If a codec cannot seal it.
            Exception: Any error of a middleware.
        """
        members = await self._members(added, lease, port)
        plans: list[Plan] = []
        for it in added:
            if not it.is_member:
                plans.append(await self._compose(it, new_ids(1)[0]))
            elif (place := next(members, None)) is not None:
                plan = await self._compose(it, member_id(place.id, place.member))
                make_member(plan.message, place)
                plans.append(plan)
        return tuple(plans)

    async def _members(
        self, added: Sequence[AddedTask], lease: Lease, port: WorkPort
    ) -> Iterator[Place]:
        """Return the places of the tasks that are added to the batch of *lease*."""
        count = sum(it.is_member for it in added)
        place = place_of(lease.message)
        if not count or place is None:
            return iter(())
        first = await port.reserve_members(place.queue, place.id, count)
        if first is None:
            text = "%r adds %d tasks to batch %s, which is gone or cancelled"
            log.warning(text, lease, count, place.id)
            return iter(())
        return (
            msgspec.structs.replace(place, member=number) for number in range(first, first + count)
        )

    async def _compose(self, added: AddedTask, task_id: str) -> Plan:
        plans: list[Plan] = []

        async def end(task: Task, options: Options) -> TaskInfo:
            now = self._clock.now()
            composed = self._limited.compose(task, options, now=now, task_id=task_id)
            plans.append(composed.plan)
            return composed.info()

        task = added.task
        if self._middleware:
            call = self._middleware.enqueue(task, task.options, end)
            job = asyncio.create_task(call, context=added.context)
            await call_guarded("client middleware", job)
        else:
            await end(task, task.options)
        return plans[0]

    def after_run(
        self,
        lease: Lease,
        verdict: Verdict,
        error: Exception | None = None,
        *,
        added: tuple[Plan, ...] = (),
        output: bytes = b"",
    ) -> Verdict:
        """Return *verdict* with what follows it.

        Args:
            lease: The task that has run here.
            verdict: The verdict on it.
            error: Why the run failed; None if it succeeded.
            added: What the handler has added; only for a success.
            output: What the handler has returned, encoded; only for a success.
        """
        place = place_of(lease.message)
        if not (self._hooks.exist or place):
            return follow_up(verdict, then=added, outcome=None) if added else verdict
        event = event_of(lease.message, verdict, error)
        if event == "succeeded" and SUBFLOW in lease.message.headers:
            place = None  # the flow that it has opened reports when it ends
        members = tuple(plan for plan in added if HEADER in plan.message.headers)
        others = tuple(plan for plan in added if HEADER not in plan.message.headers)
        then = others + _reports(place, event, verdict, output, members)
        return self._follow_up(lease, verdict, event, then, taken_at_s=lease.taken_at_s)

    def after_recovery(self, lease: Lease, verdict: Verdict) -> Verdict:
        """Return *verdict* on a task whose worker is gone with what follows it."""
        place = place_of(lease.message)
        if not (self._hooks.exist or place):
            return verdict
        event = recovery_of(verdict)
        then = _reports(place, event, verdict)
        return self._follow_up(lease, verdict, event, then, taken_at_s=None)

    def _follow_up(
        self,
        lease: Lease,
        verdict: Verdict,
        event: Event | None,
        then: tuple[Entry, ...],
        *,
        taken_at_s: float | None,
    ) -> Verdict:
        kind = lease.message.type
        makers = self._hooks.makers(event, kind) if event else ()
        is_local = event is not None and bool(self._hooks.functions(event, kind))
        if event is None or not (makers or is_local):
            return follow_up(verdict, then=then, outcome=None) if then else verdict
        outcome = outcome_of(
            lease.message,
            verdict,
            event,
            payload=self._payload(lease),
            taken_at_s=taken_at_s,
            now=self._clock.now(),
        )
        made = [plan for make in makers if (plan := self._make(lease, make, outcome))]
        return follow_up(verdict, then=(*then, *made), outcome=outcome if is_local else None)

    def _payload(self, lease: Lease) -> bytes | None:
        with suppress(CodecError):
            return self._codecs.open_message(lease.message).payload
        return None

    @calls_callback("a hook")
    def _make(self, lease: Lease, make: MakeTask, outcome: Outcome) -> Plan | None:
        """Return the plan for the task that *make* returns; None if it must not be created.

        The verdict is written in any case, so an error of the user's function is logged.
        """
        try:
            task = make(outcome)
            check_task(task)
            if task.type == outcome.type:
                return None  # else a task that always fails would follow itself forever
            options = options_after(lease.message.headers, task)
            (task_id,) = new_ids(1)
            now = self._clock.now()
            return self._composer.compose(task, options, now=now, task_id=task_id).plan
        except KeyboardInterrupt:
            raise
        except BaseException:  # exit() must not end the worker
            log.exception("no task follows %r, which has %s", lease, outcome.outcome)
            return None


def _reports(
    place: Place | None,
    event: Event | None,
    verdict: Verdict,
    output: bytes = b"",
    added: tuple[Plan, ...] = (),
) -> tuple[Report, ...]:
    """Return the report on a task at *place*, if it has one and has ended."""
    if place is None or event is None:
        return ()
    told = verdict.message if isinstance(verdict, Archive) else None
    error = told.error_msg if told is not None else ""
    report = report_on(place, event, output=output, error=error, added=added)
    return () if report is None else (report,)
