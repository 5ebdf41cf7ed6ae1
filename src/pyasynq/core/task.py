"""A task to enqueue: a type, a payload, headers, and options."""

from collections.abc import Mapping
from typing import Self, Unpack, cast

from pyasynq.core.errors import OptionError
from pyasynq.core.options import (
    NO_OPTIONS,
    Options,
    TaskOptions,
    check_all,
    check_headers,
    check_name,
)


class Task:
    """Work to do: its kind, its data, and its options.

    A task is a value; one task may be enqueued many times.

    Attributes:
        type: Kind of work; it selects the handler.
        payload: Data for the handler; None is "no payload", which differs from empty bytes for
            unique locks.
        headers: Text metadata that travels with the task, such as trace ids.
        options: The checked options.

    Source:
        Protocol section 5 (asynq v0.26.0 ``NewTask``, ``NewTaskWithHeaders``).
    """

    __slots__ = ("headers", "options", "payload", "type")

    def __init__(
        self,
        type: str,
        payload: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **options: Unpack[TaskOptions],
    ) -> None:
        """Make a task of *type*; see `TaskOptions` for the options.

        Raises:
            OptionError: If a name, the payload, a header or an option is not allowed.
            TypeError: If an option is unknown.
        """
        self.type: str = check_name("type", type)
        self.payload: bytes | None = _check_payload(payload)
        self.headers: Mapping[str, str] = check_headers(headers) if headers else {}
        self.options: Options = check_all(options) if options else NO_OPTIONS

    @classmethod
    def with_options(cls, type: str, payload: bytes, options: Options) -> Self:
        """Return a task whose *options* were checked before."""
        task = cls(type, payload)
        task.headers, task.options = options.headers, options
        return task

    def __repr__(self) -> str:
        """Show type and payload size; payloads may hold secrets."""
        size = "no payload" if self.payload is None else f"{len(self.payload)} bytes"
        return f"<Task {self.type!r}, {size}>"


def check_task(task: object) -> None:
    """Check that *task* is a `Task`.

    Raises:
        OptionError: If it is not.
    """
    if not isinstance(task, Task):
        raise OptionError("task", task, "a Task (a typed task makes one: .task(…))")


def _check_payload(payload: object) -> bytes | None:
    if payload is None or isinstance(payload, bytes):
        return payload
    if isinstance(payload, bytearray | memoryview):
        return bytes(cast("bytearray", payload))
    allowed = "bytes or None (text: text.encode(); data: json.dumps(data).encode())"
    raise OptionError("payload", payload, allowed)
