"""Read the files in ``golden/``, which Go wrote."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from pyasynq.core.options import Options
from pyasynq.proto import asynq_pb2

FOLDER = Path(__file__).parent / "golden"

FIELDS = {
    "MaxRetry": "max_retry",
    "Queue": "queue",
    "TaskID": "task_id",
    "Group": "group",
    "Timeout": "timeout",
    "Unique": "unique",
    "ProcessIn": "process_in",
    "Retention": "retention",
    "Deadline": "deadline",
    "ProcessAt": "process_at",
}
"""The names of the options in pyasynq, by their names in Go."""

Record = (
    asynq_pb2.TaskMessage
    | asynq_pb2.ServerInfo
    | asynq_pb2.WorkerInfo
    | asynq_pb2.SchedulerEntry
    | asynq_pb2.SchedulerEnqueueEvent
)


def lines(name: str) -> list[Any]:
    """Return the lines of ``<name>.jsonl``."""
    data = (FOLDER / f"{name}.jsonl").read_bytes()
    return [json.loads(line) for line in data.splitlines()]


def record(line: dict[str, Any]) -> Record:
    """Return the fields of *line* as a record of pyasynq."""
    return json_format.ParseDict(line["fields"], model(line)())


def model(line: dict[str, Any]) -> type[Record]:
    """Return the class of pyasynq for the record of *line*."""
    return getattr(asynq_pb2, line["message"])


def hexed(line: dict[str, Any]) -> str:
    """Return the bytes of *line* in hex; empty for a record without content."""
    return line.get("hex", "")


def options(line: dict[str, Any]) -> Options:
    """Return the option of *line* with its value."""
    read = _VALUES.get(line["option"], lambda value: value)
    return Options(**{FIELDS[line["option"]]: read(line["value"])})


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


_VALUES: dict[str, Callable[[Any], Any]] = {
    "Deadline": datetime.fromisoformat,
    "ProcessAt": datetime.fromisoformat,
    "Timeout": _span,
    "Unique": _span,
    "ProcessIn": _span,
    "Retention": _span,
}
