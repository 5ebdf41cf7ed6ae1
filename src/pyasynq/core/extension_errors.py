"""Errors of the user's client middleware and codecs."""

from typing import Literal, TypeAlias

from pyasynq.core.errors import PyasynqError

Part: TypeAlias = Literal["payload", "result"]
Action: TypeAlias = Literal["seal", "open"]


class MiddlewareError(PyasynqError):
    """A client middleware broke its rules, or failed where only errors of pyasynq can be reported.

    Attributes:
        reason: What the middleware did, and what to do.
    """

    def __init__(self, reason: str) -> None:
        """Say what the middleware did."""
        self.reason = reason
        super().__init__(f"client middleware: {reason}")


class NotEnqueuedError(PyasynqError):
    """Nothing was enqueued, because another process does it; only client middleware gets it.

    Attributes:
        reason: Why nothing was enqueued, in words.
    """

    def __init__(self, reason: str) -> None:
        """Say why nothing was enqueued."""
        self.reason = reason
        super().__init__(f"nothing was enqueued: {reason}")


class CodecError(PyasynqError):
    """A payload or a result could not be sealed or opened.

    Attributes:
        codec: Name of the codec that is missing or failed.
        action: What failed: ``seal`` or ``open``.
        part: ``payload`` or ``result``.
        queue: Queue of the task.
        task_id: Id of the task.
        reason: What went wrong, in words.
    """

    def __init__(
        self, codec: str, action: Action, part: Part, *, queue: str, task_id: str, reason: str
    ) -> None:
        """Name the *codec* and the task, and say what went wrong."""
        self.codec = codec
        self.action: Action = action
        self.part: Part = part
        self.queue = queue
        self.task_id = task_id
        self.reason = reason
        super().__init__(
            f"codec {codec!r} cannot {action} the {part} of task {task_id!r} in {queue!r}: {reason}"
        )
