"""The checked settings of a server, and guarded calls of the user's callbacks.

Source:
    Protocol section 6.1 (asynq v0.26.0 ``Config``).
"""

import os
import random
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from datetime import timedelta
from typing import Final, Literal, TypeAlias, TypedDict, get_args

import msgspec

from pyasynq.broker import GroupRules
from pyasynq.client import ClientMiddleware, MiddlewareChain
from pyasynq.client.middleware import convert_extensions
from pyasynq.core.attempts import MOST_ATTEMPTS
from pyasynq.core.codec import NO_CODECS, Codec, Codecs
from pyasynq.core.errors import OptionError
from pyasynq.core.extension_errors import CodecError
from pyasynq.core.message import TaskMessage
from pyasynq.core.options import (
    check_callback,
    check_count,
    check_name,
    check_time,
    whole_seconds,
)
from pyasynq.core.queue_weights import check_weights, is_pattern
from pyasynq.core.retry import asynq_delay
from pyasynq.core.task import Task
from pyasynq.core.verdict import RetryPolicy, class_and_place, error_text
from pyasynq.core.wanted_state import EVERY, MOST_SLOTS
from pyasynq.runtime.callbacks import calls_callback
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.threads import is_async
from pyasynq.server.context import ActiveTask
from pyasynq.server.hooks import Hooks

log: Final = get_logger("pyasynq.server")

RetryDelay: TypeAlias = Callable[[int, Exception, Task], timedelta]
IsFailure: TypeAlias = Callable[[Exception], bool]
OnError: TypeAlias = Callable[[ActiveTask, Exception], Awaitable[None] | None]
Lifespan: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]
HealthCheck: TypeAlias = Callable[[Exception | None], Awaitable[None] | None]

Unknown: TypeAlias = Literal["retry", "wait"]

GroupAggregator: TypeAlias = Callable[[str, list[Task]], Awaitable[Task] | Task]
"""Makes one task of a group's tasks, oldest first; ``async def``, or ``def`` in a thread."""

MOST_USUAL_THREADS: Final = 32
PLAIN_PER_PLACE: Final = 2
MOST_PROCESSES: Final = 1000
MOST_DELETED: Final = 1000
MOST_CRASHES: Final = 1000
SHORTEST_LEASE: Final = timedelta(seconds=10)
SHORTEST_GRACE: Final = timedelta(seconds=1)
LARGEST_SET: Final = 1000
MOST_FAILURES: Final = 1000
SHORTEST_INTERVAL: Final = timedelta(milliseconds=10)
CALLBACKS: Final = (
    "retry_delay",
    "is_failure",
    "on_error",
    "health_check",
    "lifespan",
    "group_aggregator",
)


class ServerOptions(TypedDict, total=False):
    """Keywords of `Server`.

    Keys:
        concurrency: Tasks that run at once, at most 100,000; 100 when not given.
        threads: Threads for plain functions, at most 100,000; `concurrency` if that is given, else
            4 more than there are CPUs, 32 at most.
        task_processes: Processes for tasks with ``executor="process"``, at most 1,000; one for each
            CPU when not given. Each starts when it is needed. If all handlers run in threads or
            processes, the server takes at most two tasks for each.
        queues: Queue to weight, 1 to 1,000; ``{"default": 1}`` when not given. In a name ``*``
            stands for any text: ``tenant-*`` serves all such queues, new ones within seconds.
        strict_priority: Empty heavier queues before lighter ones, instead of sharing by weight.
        retry_delay: Called with the retries already spent, the error and the task; returns the wait
            before the next try. It runs on the event loop, so it must not wait for anything.
        is_failure: Called with the error; returns False if it must not spend a retry. When not
            given, every error spends one. It runs on the event loop, too.
        on_error: Called with the running task and the error of every failed run, before the
            outcome is written; ``async def``, or ``def`` in a thread.
        shutdown_timeout: How long running handlers may go on after a stop; 8 s when not given.
        max_crashes: Number of workers in a row, 1 to 1,000, that may die while they run a task,
            before it is archived; 3 when not given.
        keep_attempts: Number of failed tries, 0 to 5, whose errors and tracebacks are kept with a
            task, 3 kB each; 5 when not given, 0 for none.
        hide_errors: Store only the class and the place of an error, and no text or traceback, which
            may show personal data.
        unknown: How to treat tasks whose type has no handler: ``retry`` spends their retries, as
            asynq does; ``wait`` puts them back, up to 24 h, for a worker that has one. When not
            given ``wait`` for the servers of an `App`, else ``retry``.
        lease: How long a worker keeps its tasks without extending their leases; 30 s when not
            given, at least 10 s. Go peers write 30 s.
        health_check: Called with None or the error of a ping; ``async def``, or ``def`` in a
            thread.
        health_check_interval: Time between pings; 15 s when not given.
        janitor_interval: Time between clean-ups; 8 s when not given.
        janitor_batch_size: Completed tasks deleted in one script, at most 1,000; 100 when not
            given.
        delayed_task_check_interval: Longest time between checks for due delayed tasks; 1 s when not
            given. The server forwards a task on time if it knows that it is due sooner.
        group_aggregator: Called with a group's name and tasks; returns the one task that replaces
            them. Without it, the server leaves groups to other servers.
        group_grace_period: A group is combined once no task has joined it for this time; 1 min when
            not given, at least 1 s.
        group_max_delay: A group is combined once its oldest task has waited for this time, at least
            1 s; no limit when not given.
        group_max_size: A group is combined once it has this number of tasks, 1 to 1,000; no limit
            when not given. One combined task replaces at most 1,000 in any case.
        group_max_failures: Tasks that could not be combined this number of times are archived; 5
            when not given.
        hooks: What is to happen when tasks end; an `App` has its own, see `App.when` and `App.on`.
        client_middleware: Called around the enqueueing of each task that replaces a group; see
            `Client`. The tasks that handlers enqueue pass the middleware of the handlers' client.
        codecs: Open payloads as the headers of each task say, and seal the results of such tasks;
            also seal the tasks that replace groups, in this order.
        blocked_warning: A warning names an async handler that blocks the event loop for this time;
            1 s when not given, zero for never.
        burst: Stop once the queues are empty and no task runs.
        server_id: Id of this server in the broker; a random UUID when not given.
        deployment: Name that this server shares with others, so that operators can control them
            together, also after a restart; see `Inspector.control`.
        replaces: Id of a dead server whose tasks are recovered at once, not when its leases end.
        lifespan: Makes a context in which the server runs, for what handlers share.
        clock: Tells the time; a test may pass its own.
    """

    concurrency: int
    threads: int
    task_processes: int
    queues: Mapping[str, int]
    strict_priority: bool
    retry_delay: RetryDelay
    is_failure: IsFailure
    on_error: OnError
    shutdown_timeout: timedelta
    max_crashes: int
    keep_attempts: int
    hide_errors: bool
    unknown: Unknown
    lease: timedelta
    health_check: HealthCheck
    health_check_interval: timedelta
    janitor_interval: timedelta
    janitor_batch_size: int
    delayed_task_check_interval: timedelta
    group_aggregator: GroupAggregator
    group_grace_period: timedelta
    group_max_delay: timedelta
    group_max_size: int
    group_max_failures: int
    hooks: Hooks
    client_middleware: Sequence[ClientMiddleware]
    codecs: Sequence[Codec]
    blocked_warning: timedelta
    burst: bool
    server_id: str
    deployment: str
    replaces: str
    lifespan: Lifespan
    clock: Clock


def default_threads() -> int:
    """Return the default number of threads."""
    return min(MOST_USUAL_THREADS, (os.cpu_count() or 1) + 4)


def default_processes() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Checked settings; see `ServerOptions`."""

    concurrency: int = 100
    threads: int = msgspec.field(default_factory=default_threads)
    task_processes: int = msgspec.field(default_factory=default_processes)
    queues: Mapping[str, int] = msgspec.field(default_factory=lambda: {"default": 1})
    strict_priority: bool = False
    retry_delay: RetryDelay | None = None
    is_failure: IsFailure | None = None
    on_error: OnError | None = None
    shutdown_timeout: timedelta = timedelta(seconds=8)
    max_crashes: int = 3
    keep_attempts: int = MOST_ATTEMPTS
    hide_errors: bool = False
    unknown: Unknown = "retry"
    lease: timedelta = timedelta(seconds=30)
    health_check: HealthCheck | None = None
    health_check_interval: timedelta = timedelta(seconds=15)
    janitor_interval: timedelta = timedelta(seconds=8)
    janitor_batch_size: int = 100
    delayed_task_check_interval: timedelta = timedelta(seconds=1)
    group_aggregator: GroupAggregator | None = None
    group_grace_period: timedelta = timedelta(minutes=1)
    group_max_delay: timedelta | None = None
    group_max_size: int | None = None
    group_max_failures: int = 5
    hooks: Hooks = msgspec.field(default_factory=Hooks)
    client_middleware: MiddlewareChain = msgspec.field(default_factory=MiddlewareChain)
    codecs: Codecs = NO_CODECS
    blocked_warning: timedelta = timedelta(seconds=1)
    burst: bool = False
    server_id: str = msgspec.field(default_factory=lambda: str(uuid.uuid4()))
    deployment: str | None = None
    replaces: str | None = None
    lifespan: Lifespan = nullcontext
    clock: Clock = msgspec.field(default_factory=Clock)
    own_threads: bool = False
    """The number of threads was given, so it does not follow the concurrency."""
    places: frozenset[str] = frozenset()
    """Where the handlers run, if none is a coroutine: ``threads``, ``processes``."""

    def __post_init__(self) -> None:
        """Check what the types cannot express.

        Raises:
            OptionError: If a setting cannot work.
        """
        check_count("concurrency", self.concurrency, MOST_SLOTS)
        check_count("threads", self.threads, MOST_SLOTS)
        check_count("task_processes", self.task_processes, MOST_PROCESSES)
        check_count("max_crashes", self.max_crashes, MOST_CRASHES)
        if self.keep_attempts != 0:
            check_count("keep_attempts", self.keep_attempts, MOST_ATTEMPTS)
        check_count("janitor_batch_size", self.janitor_batch_size, MOST_DELETED)
        check_name("server_id", self.server_id)
        if self.replaces is not None:
            check_name("replaces", self.replaces)
        check_weights(self.queues)
        self._check_deployment()
        self._check_times()
        self._check_groups()
        self._check_kinds()

    @classmethod
    def of(cls, options: ServerOptions) -> "Config":
        """Return the settings that *options* give.

        Raises:
            OptionError: If a setting cannot work.
            TypeError: If a client middleware cannot be called as one.
        """
        given = convert_extensions(options)
        if "concurrency" in options:
            given.setdefault("threads", options["concurrency"])
        return cls(**given, own_threads="threads" in options)

    def for_places(self, places: Collection[str]) -> "Config":
        """Return the settings of a server whose handlers all run in *places*; empty for others.

        It takes at most two tasks for each thread and process: one that runs, and one that waits.
        Any more would wait too long, so the server leaves them to others.
        """
        if not places:
            return self
        counts = {"threads": self.threads, "processes": self.task_processes}
        most = PLAIN_PER_PLACE * sum(counts[place] for place in places)
        concurrency = min(self.concurrency, most)
        return msgspec.structs.replace(self, concurrency=concurrency, places=frozenset(places))

    def with_concurrency(self, concurrency: int | None) -> "Config":
        """Return the settings of a server that was given *concurrency*; None for the own one."""
        if concurrency is None:
            return self
        threads = self.threads if self.own_threads else concurrency
        changed = msgspec.structs.replace(self, concurrency=concurrency, threads=threads)
        return changed.for_places(self.places)

    @property
    def has_patterns(self) -> bool:
        """Whether some of the queues are patterns, so that the broker's queues must be known."""
        return any(map(is_pattern, self.queues))

    def _check_deployment(self) -> None:
        if self.deployment is not None:
            check_name("deployment", self.deployment)
        if self.deployment == EVERY:
            raise OptionError("deployment", EVERY, "another name: this one means all servers")

    def _check_times(self) -> None:
        check_time("lease", self.lease, SHORTEST_LEASE)
        for name in ("health_check_interval", "janitor_interval", "delayed_task_check_interval"):
            check_time(name, getattr(self, name), SHORTEST_INTERVAL)
        check_time("shutdown_timeout", self.shutdown_timeout, timedelta(0))
        check_time("blocked_warning", self.blocked_warning, timedelta(0))

    def group_rules(self) -> GroupRules:
        """Return when a group is to be combined."""
        return GroupRules(
            grace_s=whole_seconds(self.group_grace_period),
            max_delay_s=whole_seconds(self.group_max_delay or timedelta(0)),
            max_size=self.group_max_size or 0,
        )

    def _check_callbacks(self) -> None:
        for name in CALLBACKS:
            check_callback(name, getattr(self, name))
        for name in ("retry_delay", "is_failure"):
            if is_async(getattr(self, name)):
                raise OptionError(name, getattr(self, name), "a plain function: it is not awaited")

    def _check_kinds(self) -> None:
        for name in ("strict_priority", "burst"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(name, getattr(self, name), "True or False")
        if self.unknown not in get_args(Unknown):
            raise OptionError("unknown", self.unknown, "'retry' or 'wait'")
        self._check_callbacks()
        if self.lifespan is None:
            raise OptionError("lifespan", None, "a function that makes a context")
        if not isinstance(self.hooks, Hooks):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("hooks", self.hooks, "a Hooks")
        if not isinstance(self.clock, Clock):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("clock", self.clock, "a Clock")

    def policy(self) -> RetryPolicy:
        """Return the user's retry policy; if a function of it raises, the default applies (D40)."""
        return RetryPolicy(
            delay=self._retry_delay,
            is_failure=self._is_failure,
            text=class_and_place if self.hide_errors else error_text,
        )

    def _check_groups(self) -> None:
        check_time("group_grace_period", self.group_grace_period, SHORTEST_GRACE)
        if self.group_max_delay is not None:
            check_time("group_max_delay", self.group_max_delay, SHORTEST_GRACE)
        if self.group_max_size is not None:
            check_count("group_max_size", self.group_max_size, LARGEST_SET)
        check_count("group_max_failures", self.group_max_failures, MOST_FAILURES)

    @calls_callback("retry_delay")
    def _retry_delay(self, retried: int, error: Exception, message: TaskMessage) -> timedelta:
        if self.retry_delay is not None:
            try:
                delay = self.retry_delay(retried, error, self._make_task(message))
                check_time("retry_delay's answer", delay, timedelta(0), timedelta.max)
            except KeyboardInterrupt:
                raise
            except BaseException:  # exit() must not end the worker
                log.exception("retry_delay failed; the default delay is used")
            else:
                return delay
        return asynq_delay(retried, random.random())

    def _make_task(self, message: TaskMessage) -> Task:
        with suppress(CodecError):  # then `retry_delay` gets the sealed payload
            message = self.codecs.open_message(message)
        return Task(message.type, message.payload, headers=dict(message.headers))

    @calls_callback("is_failure")
    def _is_failure(self, error: Exception) -> bool:
        if self.is_failure is not None:
            try:
                return bool(self.is_failure(error))
            except KeyboardInterrupt:
                raise
            except BaseException:  # exit() must not end the worker
                log.exception("is_failure failed; the run counts as a failure")
        return True
