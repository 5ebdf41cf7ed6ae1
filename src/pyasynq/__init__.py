"""pyasynq: a distributed task queue that shares Redis with Go's asynq."""

from pyasynq.app import App, TypedTask
from pyasynq.client import Client, SyncClient
from pyasynq.clock import Clock
from pyasynq.errors import (
    BrokerAuthError,
    BrokerError,
    BrokerFullError,
    BrokerReadOnlyError,
    BrokerUnavailableError,
    ClientClosedError,
    DuplicateTaskError,
    EntryNotFoundError,
    HandlerNotFoundError,
    LeaseExpiredError,
    OptionError,
    PayloadError,
    PoisonError,
    PyasynqError,
    ResultError,
    RetryIn,
    RevokeTask,
    SchedulerStateError,
    ServerStateError,
    SkipRetry,
    Snooze,
    TaskCanceledError,
    TaskIDConflictError,
    TaskTimeoutError,
)
from pyasynq.info import TaskInfo
from pyasynq.scheduler import PeriodicTask, PeriodicTaskManager, Scheduler
from pyasynq.server import ActiveTask, GroupAggregator, Middleware, Mux, Server, current_task
from pyasynq.states import TaskState
from pyasynq.task import Task

__version__ = "0.1.0"

__all__ = [
    "ActiveTask",
    "App",
    "BrokerAuthError",
    "BrokerError",
    "BrokerFullError",
    "BrokerReadOnlyError",
    "BrokerUnavailableError",
    "Client",
    "ClientClosedError",
    "Clock",
    "DuplicateTaskError",
    "EntryNotFoundError",
    "GroupAggregator",
    "HandlerNotFoundError",
    "LeaseExpiredError",
    "Middleware",
    "Mux",
    "OptionError",
    "PayloadError",
    "PeriodicTask",
    "PeriodicTaskManager",
    "PoisonError",
    "PyasynqError",
    "ResultError",
    "RetryIn",
    "RevokeTask",
    "Scheduler",
    "SchedulerStateError",
    "Server",
    "ServerStateError",
    "SkipRetry",
    "Snooze",
    "SyncClient",
    "Task",
    "TaskCanceledError",
    "TaskIDConflictError",
    "TaskInfo",
    "TaskState",
    "TaskTimeoutError",
    "TypedTask",
    "current_task",
]
