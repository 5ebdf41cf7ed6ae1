"""What Go wrote, read from the files in ``golden/``."""

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
"""What pyasynq calls the options."""

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
    """Return a line's fields as the record of pyasynq that it names."""
    return json_format.ParseDict(line["fields"], model(line)())


def model(line: dict[str, Any]) -> type[Record]:
    """Return the class of pyasynq for a line's record."""
    return getattr(asynq_pb2, line["message"])


def hexed(line: dict[str, Any]) -> str:
    """Return a line's bytes in hex; none for a record without content."""
    return line.get("hex", "")


def options(line: dict[str, Any]) -> Options:
    """Return the option that a line names, with its value."""
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
