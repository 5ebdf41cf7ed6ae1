"""pyasynq: a task queue on Redis, shared with Go's asynq, or on a file of SQLite."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyasynq.app import App, PlainTask, TypedTask
    from pyasynq.client import (
        CallNext,
        Client,
        ClientMiddleware,
        Flow,
        FlowOptions,
        Members,
        Step,
        SyncClient,
    )
    from pyasynq.core.attempts import Attempt
    from pyasynq.core.batch import Batch, BatchInfo, BatchOutcome
    from pyasynq.core.batch_errors import BatchNotFoundError, BatchStateError
    from pyasynq.core.call import Call
    from pyasynq.core.codec import Codec, CodecContext
    from pyasynq.core.control import (
        DeadlinePassedError,
        HandlerNotFoundError,
        LeaseExpiredError,
        NotAwaitedError,
        NotPicklableError,
        PayloadError,
        ProcessDiedError,
        ResultError,
        RetryIn,
        RevokeTask,
        SkipRetry,
        Snooze,
        TaskCanceledError,
        TaskTimeoutError,
        WorkerCrashedError,
    )
    from pyasynq.core.entry_errors import (
        EntryNotFoundError,
        EntryNotPausableError,
        EntryNotPausedError,
        EntryPausedError,
    )
    from pyasynq.core.errors import (
        BrokerAuthError,
        BrokerError,
        BrokerFullError,
        BrokerReadOnlyError,
        BrokerUnavailableError,
        ClientClosedError,
        DuplicateTaskError,
        LoopError,
        NoTokenError,
        NotSupportedError,
        OptionError,
        PoisonError,
        PyasynqError,
        QueueActiveError,
        QueueNotEmptyError,
        QueueNotFoundError,
        QueueNotPausedError,
        QueuePausedError,
        ResultExpiredError,
        SchedulerStateError,
        SemaphoreTimeoutError,
        ServerStateError,
        TaskFailedError,
        TaskIDConflictError,
        TaskNotFoundError,
        TaskStateError,
        ThreadError,
    )
    from pyasynq.core.extension_errors import CodecError, MiddlewareError, NotEnqueuedError
    from pyasynq.core.flow_errors import (
        DuplicateFlowError,
        FlowNotFoundError,
        FlowStateError,
        StepNotFoundError,
    )
    from pyasynq.core.flow_info import FlowInfo, StepInfo
    from pyasynq.core.info import (
        ClusterNode,
        DailyStats,
        GroupInfo,
        MailInfo,
        ProcessInfo,
        QueueInfo,
        SchedulerEntry,
        SchedulerEvent,
        ServerInfo,
        TaskInfo,
        WorkerInfo,
    )
    from pyasynq.core.options import Options
    from pyasynq.core.outcome import Outcome
    from pyasynq.core.states import TaskState
    from pyasynq.core.task import Task
    from pyasynq.core.wanted_state import ServerControl
    from pyasynq.inspector import ErrorGroup, Inspector, SyncInspector
    from pyasynq.runtime.clock import Clock
    from pyasynq.scheduler import PeriodicTask, PeriodicTaskManager, Scheduler
    from pyasynq.semaphore import Semaphore
    from pyasynq.server import (
        ActiveTask,
        GroupAggregator,
        Hooks,
        Middleware,
        Mux,
        Server,
        current_task,
    )
    from pyasynq.server.active_batch import ActiveBatch

__version__ = "0.1.0"

__all__ = [
    "ActiveBatch",
    "ActiveTask",
    "App",
    "Attempt",
    "Batch",
    "BatchInfo",
    "BatchNotFoundError",
    "BatchOutcome",
    "BatchStateError",
    "BrokerAuthError",
    "BrokerError",
    "BrokerFullError",
    "BrokerReadOnlyError",
    "BrokerUnavailableError",
    "Call",
    "CallNext",
    "Client",
    "ClientClosedError",
    "ClientMiddleware",
    "Clock",
    "ClusterNode",
    "Codec",
    "CodecContext",
    "CodecError",
    "DailyStats",
    "DeadlinePassedError",
    "DuplicateFlowError",
    "DuplicateTaskError",
    "EntryNotFoundError",
    "EntryNotPausableError",
    "EntryNotPausedError",
    "EntryPausedError",
    "ErrorGroup",
    "Flow",
    "FlowInfo",
    "FlowNotFoundError",
    "FlowOptions",
    "FlowStateError",
    "GroupAggregator",
    "GroupInfo",
    "HandlerNotFoundError",
    "Hooks",
    "Inspector",
    "LeaseExpiredError",
    "LoopError",
    "MailInfo",
    "Members",
    "Middleware",
    "MiddlewareError",
    "Mux",
    "NoTokenError",
    "NotAwaitedError",
    "NotEnqueuedError",
    "NotPicklableError",
    "NotSupportedError",
    "OptionError",
    "Options",
    "Outcome",
    "PayloadError",
    "PeriodicTask",
    "PeriodicTaskManager",
    "PlainTask",
    "PoisonError",
    "ProcessDiedError",
    "ProcessInfo",
    "PyasynqError",
    "QueueActiveError",
    "QueueInfo",
    "QueueNotEmptyError",
    "QueueNotFoundError",
    "QueueNotPausedError",
    "QueuePausedError",
    "ResultError",
    "ResultExpiredError",
    "RetryIn",
    "RevokeTask",
    "Scheduler",
    "SchedulerEntry",
    "SchedulerEvent",
    "SchedulerStateError",
    "Semaphore",
    "SemaphoreTimeoutError",
    "Server",
    "ServerControl",
    "ServerInfo",
    "ServerStateError",
    "SkipRetry",
    "Snooze",
    "Step",
    "StepInfo",
    "StepNotFoundError",
    "SyncClient",
    "SyncInspector",
    "Task",
    "TaskCanceledError",
    "TaskFailedError",
    "TaskIDConflictError",
    "TaskInfo",
    "TaskNotFoundError",
    "TaskState",
    "TaskStateError",
    "TaskTimeoutError",
    "ThreadError",
    "TypedTask",
    "WorkerCrashedError",
    "WorkerInfo",
    "current_task",
]

_HOMES = {
    "app": ("App", "PlainTask", "TypedTask"),
    "client": (
        "CallNext",
        "Client",
        "ClientMiddleware",
        "Flow",
        "FlowOptions",
        "Members",
        "Step",
        "SyncClient",
    ),
    "core.call": ("Call",),
    "core.codec": ("Codec", "CodecContext"),
    "core.control": (
        "DeadlinePassedError",
        "HandlerNotFoundError",
        "LeaseExpiredError",
        "NotAwaitedError",
        "NotPicklableError",
        "PayloadError",
        "ProcessDiedError",
        "ResultError",
        "RetryIn",
        "RevokeTask",
        "SkipRetry",
        "Snooze",
        "TaskCanceledError",
        "TaskTimeoutError",
        "WorkerCrashedError",
    ),
    "core.entry_errors": (
        "EntryNotFoundError",
        "EntryNotPausableError",
        "EntryNotPausedError",
        "EntryPausedError",
    ),
    "core.errors": (
        "BrokerAuthError",
        "BrokerError",
        "BrokerFullError",
        "BrokerReadOnlyError",
        "BrokerUnavailableError",
        "ClientClosedError",
        "DuplicateTaskError",
        "LoopError",
        "NoTokenError",
        "NotSupportedError",
        "OptionError",
        "PoisonError",
        "PyasynqError",
        "QueueActiveError",
        "QueueNotEmptyError",
        "QueueNotFoundError",
        "QueueNotPausedError",
        "QueuePausedError",
        "ResultExpiredError",
        "SchedulerStateError",
        "SemaphoreTimeoutError",
        "ServerStateError",
        "TaskFailedError",
        "TaskIDConflictError",
        "TaskNotFoundError",
        "TaskStateError",
        "ThreadError",
    ),
    "core.flow_errors": (
        "DuplicateFlowError",
        "FlowNotFoundError",
        "FlowStateError",
        "StepNotFoundError",
    ),
    "core.flow_info": ("FlowInfo", "StepInfo"),
    "core.info": (
        "ClusterNode",
        "DailyStats",
        "GroupInfo",
        "MailInfo",
        "ProcessInfo",
        "QueueInfo",
        "SchedulerEntry",
        "SchedulerEvent",
        "ServerInfo",
        "TaskInfo",
        "WorkerInfo",
    ),
    "core.attempts": ("Attempt",),
    "core.batch": ("Batch", "BatchInfo", "BatchOutcome"),
    "core.batch_errors": ("BatchNotFoundError", "BatchStateError"),
    "core.options": ("Options",),
    "core.outcome": ("Outcome",),
    "core.extension_errors": ("CodecError", "MiddlewareError", "NotEnqueuedError"),
    "core.states": ("TaskState",),
    "core.task": ("Task",),
    "core.wanted_state": ("ServerControl",),
    "inspector": ("ErrorGroup", "Inspector", "SyncInspector"),
    "runtime.clock": ("Clock",),
    "scheduler": ("PeriodicTask", "PeriodicTaskManager", "Scheduler"),
    "semaphore": ("Semaphore",),
    "server.active_batch": ("ActiveBatch",),
    "server": (
        "ActiveTask",
        "GroupAggregator",
        "Hooks",
        "Middleware",
        "Mux",
        "Server",
        "current_task",
    ),
}
"""The names of each module; a module is imported at the first use of one of its names."""

_MODULES = {name: module for module, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # type checkers must see only the names above

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            return import_module(f"{__name__}.{name}")
        if name not in _MODULES:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
