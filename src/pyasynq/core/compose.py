"""Decide how a task is enqueued.

Pure: `compose` makes a `Plan` from a task, its options and the time; the broker carries it out.
"""

from __future__ import annotations

import functools
import hashlib
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from pyasynq.core.call import INPUTS, inputs_of
from pyasynq.core.codec import HEADER, NO_CODECS, Codecs
from pyasynq.core.errors import OptionError
from pyasynq.core.info import TaskInfo
from pyasynq.core.message import TaskMessage, unique_key, unix_s
from pyasynq.core.options import (
    DEFAULT_MAX_RETRY,
    DEFAULT_QUEUE,
    DEFAULT_TIMEOUT,
    NO_OPTIONS,
    Options,
    whole_seconds,
)
from pyasynq.core.states import TaskState

if TYPE_CHECKING:
    from pyasynq.core.task import Task


class Lock(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The unique lock to take.

    Attributes:
        digest: Hex MD5 of the payload; empty for a task without payload.
        ttl_s: Seconds until the lock expires, at least 1.
    """

    digest: str
    ttl_s: int


class Pending(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Run as soon as a worker is free."""

    message: TaskMessage
    lock: Lock | None


class Scheduled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Run at *at_s* (Unix seconds, rounded up so that nothing runs early)."""

    message: TaskMessage
    lock: Lock | None
    at_s: int


class Grouped(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Wait in the message's group until it is combined into one task."""

    message: TaskMessage
    lock: Lock | None


DEFAULT_TIMEOUT_S: Final = whole_seconds(DEFAULT_TIMEOUT)

Plan: TypeAlias = Pending | Scheduled | Grouped


class Composer:
    """Makes plans, seals their payloads, and checks their size."""

    def __init__(self, codecs: Codecs = NO_CODECS, *, max_payload: int | None = None) -> None:
        """Seal with *codecs*; allow *max_payload* bytes of payload and headers, None for any."""
        self._codecs = codecs
        self._max_payload = max_payload

    def compose(self, task: Task, options: Options, *, now: datetime, task_id: str) -> Composed:
        """Return the plan for *task*, sealed; see `compose`.

        Raises:
            OptionError: If the payload is too large.
            CodecError: If a codec cannot seal it.
        """
        plan = compose(task, options, now=now, task_id=task_id)
        size = self._codecs.seal(plan.message) if self._codecs.names else size_of(task, options)
        if self._max_payload is not None and size > self._max_payload:
            allowed = f"at most {self._max_payload} bytes with headers (max_payload)"
            raise OptionError("payload", size, allowed)
        return Composed(plan, task, options, now)


class Composed(msgspec.Struct, frozen=True, gc=False):
    """A plan, and what is needed to describe its task after the plan is carried out.

    Attributes:
        plan: The plan.
        task: The task for which it was made.
        options: The merged options.
        now: When it was made.
    """

    plan: Plan
    task: Task
    options: Options
    now: datetime

    def info(self) -> TaskInfo:
        """Return the task as the broker stores it."""
        return info_of_plan(self.plan, self.task, self.options, now=self.now)


def compose(task: Task, options: Options, *, now: datetime, task_id: str) -> Plan:
    """Return the plan for *task*.

    Args:
        task: The task.
        options: Its options, merged with those of the call.
        now: Current time, UTC.
        task_id: Id of the task if the options give none.

    Raises:
        OptionError: If it uses results of steps, but is no step.

    Source:
        Protocol sections 4.2 and 5.2 (asynq v0.26.0 ``Client.EnqueueContext``, ``composeOptions``).
    """
    if inputs_of(task) and INPUTS not in options.headers:
        allowed = "a step of its flow, because it uses results of other steps (flow.add)"
        raise OptionError("task", task, allowed)
    retry = DEFAULT_MAX_RETRY if options.max_retry is None else options.max_retry
    message = TaskMessage()
    message.CopyFrom(_like(task.type, options.queue or DEFAULT_QUEUE, retry, _timeout_s(options)))
    message.id = options.task_id or task_id
    if task.payload is not None:
        message.payload = task.payload
    if options is not NO_OPTIONS or task.headers:
        _set_rare_fields(message, task, options)
    if options is NO_OPTIONS:
        return Pending(message=message, lock=None)
    at = _process_at(options, now)
    lock = (
        None if options.unique is None else _make_lock(task.payload, options.unique, at or now, now)
    )
    if at is not None:
        return Scheduled(message=message, lock=lock, at_s=unix_s(at))
    if options.group is not None:
        return Grouped(message=message, lock=lock)
    return Pending(message=message, lock=lock)


def info_of_plan(plan: Plan, task: Task, options: Options, *, now: datetime) -> TaskInfo:
    """Return *task* as the broker stores it after it has carried out *plan*."""
    message = plan.message
    return TaskInfo(
        id=message.id,
        queue=options.queue or DEFAULT_QUEUE,
        type=task.type,
        payload=task.payload or b"",
        headers=_merge_headers(task, options),
        state=_STATES[type(plan)],
        max_retry=message.retry,
        timeout=options.timeout or (None if options.deadline else DEFAULT_TIMEOUT),
        deadline=options.deadline and options.deadline.replace(microsecond=0),
        group=options.group,
        retention=options.retention or None,
        next_process_at=now if type(plan) is Pending else _next_process_at(plan),
    )


def with_options(
    message: TaskMessage, options: Options, *, payload: bytes | None = None
) -> TaskMessage:
    """Return a copy of *message* with the given changes; the unique lock follows the payload.

    The header that names the codecs stays: the caller seals a new payload with them.

    Differs:
        In the reference the lock stays with the old payload (D54).
    """
    copy = TaskMessage()
    copy.CopyFrom(message)
    if payload is not None:
        copy.payload = payload
    if payload is not None and copy.unique_key:
        copy.unique_key = unique_key(copy.queue, copy.type, _digest(payload))
    if options.headers:
        copy.headers.clear()
        copy.headers.update(options.headers)
        _keep_codecs(message, copy)
    if options.max_retry is not None:
        copy.retry = options.max_retry
    if options.timeout is not None:
        copy.timeout = whole_seconds(options.timeout)
    if options.retention is not None:
        copy.retention = whole_seconds(options.retention)
    if options.deadline is not None:
        copy.deadline = int(options.deadline.timestamp())
    return copy


def size_of(task: Task, options: Options) -> int:
    """Return the bytes of the task's payload and headers."""
    size = 0 if task.payload is None else len(task.payload)
    if task.headers or options.headers:
        headers = _merge_headers(task, options)
        size += sum(len(text.encode()) for text in chain(headers, headers.values()))
    return size


def _keep_codecs(message: TaskMessage, copy: TaskMessage) -> None:
    copy.headers.pop(HEADER, None)
    if names := message.headers.get(HEADER):
        copy.headers[HEADER] = names


@functools.lru_cache
def _like(type: str, queue: str, retry: int, timeout_s: int) -> TaskMessage:
    """Return a message to copy, because a copy takes half the time of a new one."""
    return TaskMessage(type=type, queue=queue, retry=retry, timeout=timeout_s)


def _timeout_s(options: Options) -> int:
    if options.timeout is not None:
        return whole_seconds(options.timeout)
    return DEFAULT_TIMEOUT_S if options.deadline is None else 0


def _set_rare_fields(message: TaskMessage, task: Task, options: Options) -> None:
    """Set the fields that most messages do not have."""
    if options.deadline is not None:
        message.deadline = int(options.deadline.timestamp())
    if options.retention is not None:
        message.retention = whole_seconds(options.retention)
    if options.group is not None:
        message.group_key = options.group
    if headers := _merge_headers(task, options):
        message.headers.update(headers)


def _merge_headers(task: Task, options: Options) -> dict[str, str]:
    return {**task.headers, **options.headers}


def _process_at(options: Options, now: datetime) -> datetime | None:
    """Return the instant at which the task may run; None if it need not wait."""
    if options.process_in is not None:
        return now + options.process_in if options.process_in else None
    at = options.process_at
    return at if at is not None and at > now else None


def _make_lock(payload: bytes | None, unique: timedelta, start: datetime, now: datetime) -> Lock:
    return Lock(digest=_digest(payload), ttl_s=max(1, whole_seconds(start + unique - now)))


def _digest(payload: bytes | None) -> str:
    return "" if payload is None else hashlib.md5(payload, usedforsecurity=False).hexdigest()


def _next_process_at(plan: Plan) -> datetime | None:
    return datetime.fromtimestamp(plan.at_s, UTC) if isinstance(plan, Scheduled) else None


_STATES = {
    Pending: TaskState.PENDING,
    Scheduled: TaskState.SCHEDULED,
    Grouped: TaskState.AGGREGATING,
}
