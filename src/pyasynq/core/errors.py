"""Every error that pyasynq raises, and the signals by which a handler decides about its task.

PyasynqError
├── OptionError (ValueError)          an option, name or payload was refused
├── DuplicateTaskError                the unique lock is held
├── TaskIDConflictError               a task with this id exists in the queue
├── BrokerError                       the broker did not do what was asked
│   ├── BrokerUnavailableError        unreachable, restarting, loading, or too slow
│   ├── BrokerAuthError               wrong password, or a right is missing
│   ├── BrokerReadOnlyError           a replica answered
│   └── BrokerFullError               out of memory (maxmemory)
├── NotSupportedError                 this broker cannot do it
├── PoisonError                       stored bytes are not a task
├── ClientClosedError                 the client was closed before
├── LoopError                         the event loop of the client cannot make the call
├── MiddlewareError                   a client middleware broke its rules
├── NotEnqueuedError                  another process enqueues the task
├── CodecError                        a payload could not be sealed or opened
├── ThreadError                       the thread of a sync client cannot answer
├── QueueNotFoundError                no queue has this name
├── QueueNotEmptyError                the queue to be deleted holds tasks
│   └── QueueActiveError              some of them are running
├── QueuePausedError                  the queue is paused already
├── QueueNotPausedError               the queue is not paused
├── TaskNotFoundError                 the queue has no task with this id
│   └── ResultExpiredError            it was there, but its retention is over
├── BatchNotFoundError                the queue has no batch with this id
├── BatchStateError                   not possible in the state the batch is in
├── FlowNotFoundError                 the queue has no flow with this id
├── StepNotFoundError                 the flow has no such step
├── FlowStateError                    not possible in the state the flow or step is in
├── DuplicateFlowError                another flow of this name runs, and only one may
├── TaskStateError                    not allowed in the state the task is in
├── TaskFailedError                   the task whose result is awaited was archived
├── ServerStateError                  a server was started twice, or has ended
├── SchedulerStateError               a scheduler was started twice, or has ended
├── EntryNotFoundError                a scheduler has no such entry
├── EntryPausedError                  the entry is paused already
├── EntryNotPausedError               the entry is not paused
├── EntryNotPausableError             only schedulers that obey no pause have the entry
├── HandlerNotFoundError              no pattern matches the task's type
├── PayloadError                      a payload does not fit the handler's types
├── NotAwaitedError                   a call of an async function did nothing: await is missing
├── ResultError                       a result could not be written
├── SemaphoreTimeoutError (TimeoutError)  no token was free in time
├── NoTokenError                      a token that is not held was released
├── TaskTimeoutError                  the task's timeout or deadline has passed
│   └── DeadlinePassedError           it had passed before the task started
├── TaskCanceledError                 an operator canceled the task
├── LeaseExpiredError                 the worker lost the task's lease
├── ProcessDiedError                  the process that ran the task died
├── NotPicklableError                 a result or an error cannot leave the process of the task
└── WorkerCrashedError                several workers in a row died while they ran the task

SkipRetry  RevokeTask  RetryIn  Snooze      signals, outside the tree
"""

from datetime import timedelta
from typing import Any, Final

_LONGEST_SHOWN: Final = 80
_STATE_HINTS: Final = {
    "active": "; cancel it first",
    "staged": "; its group is just being combined, try again later",
}


class PyasynqError(Exception):
    """The root of every error pyasynq raises."""


class OptionError(PyasynqError, ValueError):
    """An option, name or payload was refused before anything was written.

    Attributes:
        option: Name of the option, or ``type`` or ``payload``.
        value: The refused value.
        allowed: What is allowed, in words.
    """

    def __init__(self, option: str, value: object, allowed: str) -> None:
        """Say which *option* was refused, and what is *allowed*."""
        self.option = option
        self.value = value
        self.allowed = allowed
        super().__init__(f"{option} must be {allowed}, got {short_repr(value)}")


class DuplicateTaskError(PyasynqError):
    """Another task holds the unique lock; nothing was enqueued.

    Attributes:
        queue: Queue of the task.
        type: Type of the task.
    """

    def __init__(self, queue: str, type: str) -> None:
        """Name the *queue* and *type* whose lock is held."""
        self.queue = queue
        self.type = type
        super().__init__(
            f"task already exists: a unique {type!r} with this payload is in {queue!r}"
        )


class TaskIDConflictError(PyasynqError):
    """The queue already holds a task with this id; nothing was enqueued.

    Attributes:
        queue: Queue of the task.
        task_id: The id that another task has.
    """

    def __init__(self, queue: str, task_id: str) -> None:
        """Name the *queue* and the *task_id* that another task has."""
        self.queue = queue
        self.task_id = task_id
        super().__init__(f"task ID conflicts with another task: {task_id!r} is in {queue!r}")


class BrokerError(PyasynqError):
    """The broker did not do what was asked; the error of its driver is the cause."""


class BrokerUnavailableError(BrokerError):
    """The broker is unreachable, restarts, loads its data, or answered too late."""


class BrokerAuthError(BrokerError):
    """The broker refused the user name or password, or the user lacks a permission."""


class BrokerReadOnlyError(BrokerError):
    """A read-only replica answered; writes need the primary."""


class BrokerFullError(BrokerError):
    """The broker is full and accepts no new data: ``maxmemory`` of Redis, or a disk of SQLite."""


class NotSupportedError(PyasynqError):
    """The broker does not have this feature; another broker may.

    Attributes:
        feature: The missing feature.
        broker: Name of the broker.
    """

    def __init__(self, feature: str, broker: str) -> None:
        """Name the *feature* and the *broker*."""
        self.feature = feature
        self.broker = broker
        super().__init__(f"{broker} does not support {feature}")


class PoisonError(PyasynqError):
    """Stored bytes are not a message of the protocol.

    Attributes:
        size: Length of the bytes.
    """

    def __init__(self, size: int) -> None:
        """Say how many bytes could not be decoded."""
        self.size = size
        super().__init__(f"undecodable message of {size} bytes")


class LoopError(PyasynqError):
    """A call came from a second event loop, and the client's own loop cannot make the call.

    Attributes:
        reason: Why the client's loop cannot make it, in words.
    """

    def __init__(self, reason: str) -> None:
        """Say why the client's loop cannot make the call, and what to do."""
        self.reason = reason
        super().__init__(
            f"the event loop to which this client belongs {reason}: open one Client, or the app, "
            "in each loop (each asyncio.run), or use a SyncClient"
        )


class ThreadError(PyasynqError):
    """The thread of a `SyncClient` or `SyncInspector` cannot answer.

    Attributes:
        reason: Why it cannot, in words.
    """

    def __init__(self, reason: str) -> None:
        """Say why the thread cannot answer."""
        self.reason = reason
        super().__init__(f"the thread of this SyncClient or SyncInspector {reason}")


class ClientClosedError(PyasynqError):
    """The client, or the `SyncInspector`, is closed; make a new one."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("the client is closed: make a new one")


class _QueueError(PyasynqError):
    """A queue is not in the required state.

    Attributes:
        queue: Name of the queue.
    """

    _says: str

    def __init__(self, queue: str) -> None:
        """Name the *queue*."""
        self.queue = queue
        super().__init__(self._says.format(repr(queue)))


class QueueNotFoundError(_QueueError):
    """No queue has this name."""

    _says = "queue not found: {}"


class QueueNotEmptyError(_QueueError):
    """The queue was not deleted because it holds tasks."""

    _says = "queue is not empty: {}; force also deletes its tasks, unless producers add more"


class QueueActiveError(QueueNotEmptyError):
    """The queue was not deleted because some of its tasks are running; force changes nothing."""

    _says = "cannot remove queue with active tasks: {}; let them end first"


class QueuePausedError(_QueueError):
    """The queue is paused already."""

    _says = "queue {} is already paused"


class QueueNotPausedError(_QueueError):
    """The queue is not paused."""

    _says = "queue {} is not paused"


class TaskNotFoundError(PyasynqError):
    """The queue has no task with this id.

    Attributes:
        queue: Name of the queue.
        task_id: Id of the task.
    """

    def __init__(self, queue: str, task_id: str) -> None:
        """Name the *queue* and the *task_id* that is not in it."""
        self.queue = queue
        self.task_id = task_id
        super().__init__(f"task not found: {task_id!r} is not in {queue!r}")


class ResultExpiredError(TaskNotFoundError):
    """The task and its result were deleted: the task had no retention, or its retention is over."""

    def __init__(self, queue: str, task_id: str) -> None:
        """Name the deleted task."""
        super().__init__(queue, task_id)
        self.args: tuple[Any, ...] = (
            f"no result: {task_id!r} is not, or no longer, in {queue!r}; retention keeps it longer",
        )


class TaskStateError(PyasynqError):
    """The action is not allowed in the state of the task; nothing was changed.

    Attributes:
        queue: Name of the queue.
        task_id: Id of the task.
        state: State of the task; ``staged`` if an aggregator is combining its group.
        order: The requested action.
    """

    def __init__(self, queue: str, task_id: str, state: str, order: str) -> None:
        """Name the task, its *state*, and the action (*order*) that this state does not allow."""
        self.queue = queue
        self.task_id = task_id
        self.state = state
        self.order = order
        hint = _STATE_HINTS.get(state, "")
        super().__init__(f"cannot {order} task {task_id!r} in {queue!r}: it is {state}{hint}")


class TaskFailedError(PyasynqError):
    """The task whose result is awaited was archived.

    Attributes:
        queue: Name of the queue.
        task_id: Id of the task.
        last_error: Text of its last failure, or None if an operator archived it.
    """

    def __init__(self, queue: str, task_id: str, last_error: str | None) -> None:
        """Name the task and its last failure."""
        self.queue = queue
        self.task_id = task_id
        self.last_error = last_error
        super().__init__(f"task {task_id!r} in {queue!r} failed: {last_error or 'it was archived'}")


class ServerStateError(PyasynqError):
    """The server cannot do this in its present state.

    Attributes:
        state: ``new``, ``active``, ``stopped`` or ``closed``.
    """

    def __init__(self, state: str) -> None:
        """Name the *state* the server is in."""
        self.state = state
        super().__init__(f"a server runs once; this one is {state}: make a new Server")


class SchedulerStateError(PyasynqError):
    """The scheduler cannot do this in its present state.

    Attributes:
        state: ``new``, ``active`` or ``closed``.
    """

    def __init__(self, state: str) -> None:
        """Name the *state* the scheduler is in."""
        self.state = state
        super().__init__(f"a scheduler runs once; this one is {state}: make a new Scheduler")


class SemaphoreTimeoutError(PyasynqError, TimeoutError):
    """No token of a semaphore was free in time.

    Attributes:
        scope: Name of the semaphore.
        limit: Number of tokens.
    """

    def __init__(self, scope: str, limit: int) -> None:
        """Name the semaphore and the number of its tokens."""
        self.scope = scope
        self.limit = limit
        super().__init__(f"all {limit} tokens of semaphore {scope!r} are taken")


class NoTokenError(PyasynqError):
    """A semaphore was released, but no token of it is held.

    Attributes:
        scope: Name of the semaphore.
    """

    def __init__(self, scope: str) -> None:
        """Name the semaphore."""
        self.scope = scope
        super().__init__(f"no token of semaphore {scope!r} is held here: acquire it first")


def seconds(duration: timedelta) -> str:
    """Return *duration* for people to read: ``-1 s``, ``0.25 s``."""
    return f"{duration.total_seconds():.15g} s"


def as_timedelta(value: object) -> str:
    """Return Python code for *value*, which is not a `timedelta`, as one; 30 means 30 seconds."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 30
    return f"timedelta(seconds={number})"


def short_repr(value: object) -> str:
    """Return the `repr` of *value* for the text of an error, cut if it is long."""
    if isinstance(value, timedelta):
        return seconds(value)
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - __repr__ is the user's code
        text = f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
