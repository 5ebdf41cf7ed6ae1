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
    DuplicateTaskError,
    HandlerNotFoundError,
    LeaseExpiredError,
    NoTokenError,
    OptionError,
    PayloadError,
    PoisonError,
    PyasynqError,
    ResultError,
    RetryIn,
    RevokeTask,
    SemaphoreTimeoutError,
    ServerStateError,
    SkipRetry,
    Snooze,
    TaskCanceledError,
    TaskIDConflictError,
    TaskTimeoutError,
)
from pyasynq.info import TaskInfo
from pyasynq.semaphore import Semaphore
from pyasynq.server import ActiveTask, Middleware, Mux, Server, current_task
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
    "Clock",
    "DuplicateTaskError",
    "HandlerNotFoundError",
    "LeaseExpiredError",
    "Middleware",
    "Mux",
    "NoTokenError",
    "OptionError",
    "PayloadError",
    "PoisonError",
    "PyasynqError",
    "ResultError",
    "RetryIn",
    "RevokeTask",
    "Semaphore",
    "SemaphoreTimeoutError",
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
