"""Go's side: a process of the peer that reads one operation a line."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec

from pyasynq.core.info import DailyStats, GroupInfo, QueueInfo, ServerInfo, TaskInfo
from tests.differential import operations as ops
from tests.differential.operations import Operation, to_json
from tests.differential.sides import Answer, Combined, Report


class GoSide:
    """asynq's client, inspector and servers in one process."""

    def __init__(self, program: Path, redis: str) -> None:
        """Start *program* with the Redis at *redis*."""
        self._process = subprocess.Popen(
            [program, "drive", f"--redis={redis}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    async def apply(self, operation: Operation) -> Answer:
        """Send *operation* and wait for its answer."""
        line = await anyio.to_thread.run_sync(self._exchange, to_json(operation))
        return _answer(operation, msgspec.json.decode(line))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _exchange(self, line: str) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


UNTYPED: Final = "queue not found, untyped"
"""Error of Go with such a text, which matches no sentinel (D55)."""

TEXTS: Final = (
    (r"(NOT_FOUND|INTERNAL_ERROR): queue .* does not exist", UNTYPED),
    (r"is already paused", "paused"),
    (r"is not paused", "not paused"),
    (r"cannot remove queue with active tasks", "active"),
    (r"task is already|cannot (archive|delete) task in active|not in scheduled state", "state"),
    (r"must contain|cannot be (empty|less)|must be positive", "refused"),
)
"""The class of errors without a sentinel in asynq, by their text."""


def _answer(operation: Operation, line: dict[str, Any]) -> Answer:
    if line["error"]:
        text = line["error"]["text"]
        return Answer(error=_class(line["error"]["class"], text), text=text)
    read = _READERS.get(type(operation))
    value = line["value"]
    return Answer(value=value if read is None or value is None else read(value))


def _class(word: str, text: str) -> str:
    if word != "other":
        return word
    return next((meant for pattern, meant in TEXTS if re.search(pattern, text)), word)


def _model(model: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - a type, or a list of one
    return lambda value: msgspec.convert(value, model, strict=False)


def _many(value: list[dict[str, Any]]) -> list[Answer]:
    single = ops.Enqueue(
        type="t", payload=None, headers={}, own=ops.Choices(), options=ops.Choices()
    )
    return [_answer(single, line) for line in value]


_READERS: Final[dict[type[Operation], Callable[[Any], Any]]] = {
    ops.Enqueue: _model(TaskInfo),
    ops.EnqueueMany: _many,
    ops.Work: _model(Report),
    ops.Begin: _model(Report),
    ops.End: _model(Report),
    ops.Crash: lambda _: None,
    ops.Aggregate: _model(list[Combined]),
    ops.TaskInfo: _model(TaskInfo),
    ops.ListTasks: _model(list[TaskInfo]),
    ops.QueueInfo: _model(QueueInfo),
    ops.History: _model(list[DailyStats]),
    ops.Groups: _model(list[GroupInfo]),
    ops.Servers: _model(list[ServerInfo]),
}
