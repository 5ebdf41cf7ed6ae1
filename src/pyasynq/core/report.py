"""What a task reports, when it ends, to the record that it is part of.

A header of the task names the record and the task's place in it. The report travels with the final
verdict: it is carried out in the step that writes the verdict, or sent as mail. A receiver ignores
a report that it has already got.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from pyasynq.core.compose import Plan
from pyasynq.core.message import TaskMessage, safe_text
from pyasynq.core.outcome import Event

HEADER: Final = "pyasynq:part_of"
"""Header with the `Place` of the task, in JSON."""

Kind: TypeAlias = Literal["flow", "batch"]
"""What kind of record receives a report."""

Result: TypeAlias = Literal["succeeded", "failed", "skipped"]
"""What a report says of its task."""

MOST_OUTPUT: Final = 1024 * 1024
"""Bytes that one task may report."""

LONGEST_ERROR: Final = 500
"""Characters of an error's text that a report carries; the task keeps the whole text."""

_RESULTS: Final[Mapping[Event, Result]] = {
    "succeeded": "succeeded",
    "archived": "failed",
    "expired": "failed",
    "revoked": "skipped",
}


class Place(msgspec.Struct, frozen=True, array_like=True):
    """The place of a task in a record.

    Attributes:
        kind: Kind of the record.
        queue: The record's home: it is stored with this queue.
        id: Id of the record, unique among those of its kind and home.
        node: Number of the part that the task is, from 0.
        member: Which of the tasks of that part it is, from 0: in a batch its number. In a flow it
            counts the times that the step was retried: a report of an earlier time is ignored.
        spreads: Tasks for other queues than the home may follow a report.
        keeps_result: The batch keeps the result of the task.
    """

    kind: Kind
    queue: str
    id: str
    node: int = 0
    member: int = 0
    spreads: bool = False
    keeps_result: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a task has ended, for the record that it is part of.

    Attributes:
        place: The record, and the task's place in it.
        result: How it has ended.
        output: What its handler returned, as `pack_output` returns it; empty without that, and
            after a failure.
        error: What operators read; empty without an error.
        added: Tasks that become members of the same batch with this report; only after a success.
    """

    place: Place
    result: Result
    output: bytes = b""
    error: str = ""
    added: tuple[Plan, ...] = ()


Entry: TypeAlias = Plan | Report
"""What follows a final verdict: a new task, or a report."""

_decode_place: Final = msgspec.json.Decoder(Place).decode


def header_of(place: Place) -> str:
    """Return *place* as the value of `HEADER`."""
    return msgspec.json.encode(place).decode()


def place_of(message: TaskMessage) -> Place | None:
    """Return the place of a task; None if it is part of nothing that this version knows."""
    return read_place(message.headers.get(HEADER))


def read_place(text: str | None) -> Place | None:
    """Return the place that `header_of` was given; None without one that this version knows."""
    if not text:
        return None
    try:
        return _decode_place(text)
    except msgspec.DecodeError:
        return None


def report_on(
    place: Place,
    event: Event,
    *,
    output: bytes = b"",
    error: str = "",
    added: tuple[Plan, ...] = (),
) -> Report | None:
    """Return the report on a task at *place* after *event*; None if it runs again."""
    result = _RESULTS.get(event)
    if result is None:
        return None
    return Report(
        place=place,
        result=result,
        output=output if result == "succeeded" else b"",
        error="" if result == "succeeded" else safe_text(error)[:LONGEST_ERROR],
        added=added,
    )


def pack_output(codecs: str, result: bytes) -> bytes:
    """Return *result*, which is sealed with *codecs* (names as in their header, maybe none)."""
    return codecs.encode() + b"\n" + result


def unpack_output(output: bytes) -> tuple[str, bytes]:
    """Return the names of codecs and the result in *output*."""
    names, _, result = output.partition(b"\n")
    return names.decode(), result


def queue_of(entry: Entry) -> str:
    """Return the queue in which *entry* is carried out."""
    return entry.place.queue if isinstance(entry, Report) else entry.message.queue


def is_for_others(entry: Entry, queue: str) -> bool:
    """Return whether *entry*, which follows a task of *queue*, may write to other queues."""
    return queue_of(entry) != queue or (isinstance(entry, Report) and entry.place.spreads)
