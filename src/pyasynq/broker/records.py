"""Decode task ids, messages and other records of Redis; any client may have written them."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

import msgspec
from google.protobuf.message import DecodeError

from pyasynq.broker.ports.work import Lease
from pyasynq.core.entry_task import EntryTask
from pyasynq.core.errors import PoisonError
from pyasynq.core.message import TaskMessage, decode
from pyasynq.proto import asynq_pb2 as wire

Record = TypeVar(
    "Record",
    wire.SchedulerEnqueueEvent,
    wire.SchedulerEntry,
    wire.ServerInfo,
    wire.WorkerInfo,
)


def read_message(queue: str, task_id: bytes, data: bytes) -> tuple[TaskMessage, bool]:
    """Return the message, and whether it is sound.

    A sound message can be decoded and has the given id and queue. In place of any other one, return
    a message with only the queue.
    """
    try:
        message = decode(data)
    except PoisonError:
        pass
    else:
        if message.queue == queue and message.id.encode() == task_id:
            return message, True
    return TaskMessage(queue=queue.encode(errors="replace").decode()), False


def read_records(kind: type[Record], records: Iterable[bytes | None]) -> list[Record]:
    """Return the *records* that exist and can be parsed; drop the others."""
    found: list[Record] = []
    for record in filter(None, records):
        with suppress(DecodeError):
            found.append(kind.FromString(record))
    return found


def write_entry_task(task: EntryTask) -> bytes:
    """Return the record of *task*."""
    return msgspec.msgpack.encode(task)


def read_entry_task(record: bytes | None) -> EntryTask | None:
    """Return what *record* holds; None if there is none, or it cannot be decoded.

    A later version may add fields, which are ignored, and leave out none.
    """
    if record is None:
        return None
    try:
        return msgspec.msgpack.decode(record, type=EntryTask)
    except msgspec.DecodeError:  # also what a field of a wrong type raises
        return None


def decode_name(task_id: bytes) -> str:
    """Return *task_id* as text; bytes that are not UTF-8 are escaped as surrogates."""
    return task_id.decode(errors="surrogateescape")


def encode_name(text: str) -> bytes:
    """Return the bytes of a text from `decode_name`, or of a key that contains one."""
    return text.encode(errors="surrogateescape")


def restore_run_history(lease: Lease, crashes: int, unknown_s: int | None, retried: int) -> None:
    """Set crashes and unknown of *lease* as they were stored, with the task's *retried* then.

    If the message has another number of retries now, a worker that does not know these fields has
    run the task since, and they are ignored. A *retried* of -1 fits any number.
    """
    if retried in (-1, lease.message.retried):
        lease.crashes, lease.unknown_s = crashes, unknown_s
