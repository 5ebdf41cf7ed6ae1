"""Make the answers of both sides comparable, and split them into parts."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from pyasynq.core.info import QueueInfo, ServerInfo
from tests.differential import operations as ops
from tests.differential.operations import Operation
from tests.differential.sides import Answer, Failed, Report, Seen
from tests.differential.snapshot import Atom, Instant

ESTIMATE: Final = 0.2
"""Ratio by which two estimates of memory may differ: Redis allocates more as hashes grow."""


@dataclass(frozen=True)
class Estimate:
    """A number of bytes that Redis estimates."""

    size: int


def comparable(operation: Operation, answer: Answer) -> Answer:
    """Return *answer* without the parts that differ by nature.

    The order in which parallel handlers run is removed, and the order of members of sets.
    """
    return Answer(value=_value(operation, answer.value), error=answer.error, text=answer.text)


def _value(operation: Operation, value: Any) -> Any:  # noqa: ANN401
    match operation, value:
        case ops.End(), Report(failed=failed):  # what was seen was compared at the beginning
            value = sorted(failed, key=_id)
        case ops.Work() | ops.Begin(), Report() if operation.concurrency > 1:
            value = Report(seen=sorted(value.seen, key=_id), failed=sorted(value.failed, key=_id))
        case ops.Servers(), list():
            value = [_server(server) for server in value]
        case _, QueueInfo():
            value = _queue(value)
        case ops.Queues() | ops.Groups(), list():
            value = sorted(value, key=str)
        case _:
            pass
    return value


def _server(shown: ServerInfo) -> dict[str, Any]:
    """Return the fields that do not name the process or depend on its last heartbeat."""
    return {
        "concurrency": shown.concurrency,
        "queues": dict(shown.queues),
        "strict_priority": shown.strict_priority,
    }


def _queue(told: QueueInfo) -> dict[str, Any]:
    """Replace the latency by the instant at which the next task became pending."""
    since = told.timestamp - told.latency if told.latency else None
    usage = Estimate(told.memory_usage)
    return asdict(told) | {"latency": since, "memory_usage": usage}


def _id(item: Seen | Failed) -> str:
    return item.id


def parts(answer: Answer) -> Iterator[tuple[str, Atom]]:
    """Split an answer into parts, without the text of its error."""
    return _parts("", answer)


def _parts(path: str, value: object) -> Iterator[tuple[str, Atom]]:
    match value:
        case Answer():
            yield from _answer(path, value)
        case list() | tuple() | dict():
            yield from _items(path, value)
        case msgspec.Struct() | Estimate() | Instant():
            yield from _struct(path, value)
        case _ if is_dataclass(value):
            for field in fields(value):
                yield from _parts(f"{path}{field.name}.", getattr(value, field.name))
        case _:
            yield path, _atom(value)


def _answer(path: str, answer: Answer) -> Iterator[tuple[str, Atom]]:
    if answer.error is not None:
        yield f"{path}error", answer.error
    else:
        yield from _parts(path, answer.value)


def _items(path: str, value: Any) -> Iterator[tuple[str, Atom]]:  # noqa: ANN401
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _parts(f"{path}{name}.", item)
        return
    yield f"{path}len", len(value)
    for place, item in enumerate(value):
        yield from _parts(f"{path}{place}.", item)


def _struct(path: str, value: msgspec.Struct | Estimate | Instant) -> Iterator[tuple[str, Atom]]:
    if not isinstance(value, msgspec.Struct):
        yield path, value
        return
    for name in value.__struct_fields__:
        yield from _parts(f"{path}{name}.", getattr(value, name))


def _atom(value: object) -> Atom:
    match value:
        case datetime():
            at = value.timestamp()
            return Instant(at, whole=at.is_integer())
        case timedelta():
            return value.total_seconds()
        case b"":  # Go reads an empty result as None; the stored result is compared in Redis
            return None
        case _:
            return value
