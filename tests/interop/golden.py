"""What Go wrote, read from the files in ``golden/``."""

import json
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from pyasynq.proto import asynq_pb2

FOLDER = Path(__file__).parent / "golden"

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
