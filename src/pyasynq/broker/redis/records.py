"""Task ids, messages and other records as Redis holds them, whoever wrote them."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

from google.protobuf.message import DecodeError

from pyasynq.broker.ports.work import Lease
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

    A sound one decodes and says the id and queue it was found under. The stand-in for another one
    has neither id nor type.
    """
    try:
        message = decode(data)
    except PoisonError:
        pass
    else:
        if message.queue == queue and message.id.encode() == task_id:
            return message, True
    return TaskMessage(queue=queue), False


def read_records(kind: type[Record], records: Iterable[bytes | None]) -> list[Record]:
    """Return the *records* that are there and parse: nothing depends on the others."""
    found: list[Record] = []
    for record in filter(None, records):
        with suppress(DecodeError):
            found.append(kind.FromString(record))
    return found


def decode_name(task_id: bytes) -> str:
    """Return *task_id* as text; bytes that are no UTF-8 are escaped as surrogates."""
    return task_id.decode(errors="surrogateescape")


def encode_name(text: str) -> bytes:
    """Return what `decode_name` was given, or a key with it."""
    return text.encode(errors="surrogateescape")


def recall(lease: Lease, crashes: int, unknown_s: int | None, retried: int) -> None:
    """Note what the task of *lease* had been through when it had spent *retried* retries, or -1.

    If it has spent others by now, a worker that knows nothing of all this has run it since.
    """
    if retried in (-1, lease.message.retried):
        lease.crashes, lease.unknown_s = crashes, unknown_s
