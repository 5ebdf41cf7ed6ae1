"""What follows a verdict in another queue, as it is stored in the mail, and read again."""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from pyasynq.broker.records import decode_name, read_message
from pyasynq.broker.redis.new_tasks import complete_values
from pyasynq.broker.redis.scripts import Each, blob, pack, unblob
from pyasynq.core.compose import Lock, Pending, Plan, Scheduled
from pyasynq.core.flow import LOCK_HELD, id_taken
from pyasynq.core.info import MailInfo
from pyasynq.core.message import decode, instant
from pyasynq.core.report import Entry, Kind, Place, Report, place_of
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.broker")

_REFUSALS: Final = {0: "a task with this id exists", -1: "another task holds its unique lock"}

REPORT: Final = 0
"""What the body of a report begins with; that of a task begins with the name of its queue."""


class MailBody(msgspec.Struct, frozen=True, array_like=True):
    """A task in the mail: its queue, and its first values for the EACH of the script."""

    queue: str
    id: str
    message: msgspec.Raw
    lock: str | bool
    ttl_s: int | bool
    at_s: int | bool
    group: str | bool


class ReportBody(msgspec.Struct, frozen=True, array_like=True):
    """A report in the mail: `REPORT`, its home, and the values for the script's `receive`."""

    form: int
    queue: str
    kind: Kind
    id: str
    node: int
    member: int
    mark: str
    output: msgspec.Raw
    error: str


Body: TypeAlias = MailBody | ReportBody

_decode_task: Final = msgspec.msgpack.Decoder(MailBody).decode
_decode_report: Final = msgspec.msgpack.Decoder(ReportBody).decode

_MARKS: Final = {"succeeded": "s", "failed": "f", "skipped": "x"}


class Letter(NamedTuple):
    """A letter as it is stored; *body* is None if it cannot be read."""

    id: str
    posted_s: int
    body: Body | None


def body_of(entry: Entry) -> bytes:
    """Return the body of *entry*, encoded."""
    return pack(report_values(entry) if isinstance(entry, Report) else task_values(entry))


def task_values(plan: Plan) -> tuple[Each, ...]:
    """Return the values of a `MailBody` for the task of *plan*."""
    return (plan.message.queue, *complete_values(plan))


def plan_of(packed: bytes) -> Plan | None:
    """Return the plan that `body_of` was given; None if a later version has written it."""
    body = _read_body(packed)
    if not isinstance(body, MailBody):
        return None
    message = decode(unblob(body.message))
    lock = None
    if body.lock:
        digest = str(body.lock).rpartition(":")[2]
        lock = Lock(digest=digest, ttl_s=body.ttl_s)
    if isinstance(body.at_s, bool):
        return Pending(message=message, lock=lock)
    return Scheduled(message=message, lock=lock, at_s=body.at_s)


def report_values(report: Report) -> tuple[Each, ...]:
    """Return the values of a `ReportBody`."""
    place = report.place
    return (
        REPORT,
        place.queue,
        place.kind,
        place.id,
        place.node,
        place.member,
        _MARKS[report.result],
        blob(report.output if _has_output(place) else _added_values(report.added)),
        report.error,
    )


def _has_output(place: Place) -> bool:
    return place.kind == "flow" or place.keeps_result


def _added_values(added: Sequence[Plan]) -> bytes:
    """Return the members that a batch gets: for each its number and its values, encoded."""
    values: list[Each] = []
    for plan in added:
        place = place_of(plan.message)
        if place is not None:
            values += (place.member, *complete_values(plan))
    return pack(values) if values else b""


def read_letters(fields: Sequence[bytes]) -> list[Letter]:
    """Return the letters in a script's reply: id and body of each."""
    found: list[Letter] = []
    for letter_id, stored in zip(fields[::2], fields[1::2], strict=True):
        posted_s, _, packed = stored.partition(b":")
        since = int(posted_s) if posted_s.isdigit() else 0
        found.append(Letter(decode_name(letter_id), since, _read_body(packed)))
    return found


def _read_body(packed: bytes) -> Body | None:
    for decode_body in (_decode_task, _decode_report):
        try:
            return decode_body(packed)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return None  # a later version has written it


def describe(letter: Letter) -> MailInfo:
    """Return *letter* as operators see it."""
    body, posted_at = letter.body, instant(letter.posted_s)
    match body:
        case None:
            to_queue = task_id = kind = ""
        case ReportBody():
            to_queue, task_id, kind = body.queue, body.id, f"(report to a {body.kind})"
        case MailBody():
            message, _ = read_message(body.queue, body.id.encode(), unblob(body.message))
            to_queue, task_id, kind = body.queue, body.id, message.type
    return MailInfo(
        id=letter.id, to_queue=to_queue, task_id=task_id, type=kind, posted_at=posted_at
    )


def report_of_refusal(body: MailBody, answer: int) -> ReportBody | None:
    """Return what the record of a task gets if the task is refused; None if it has no record."""
    message, _ = read_message(body.queue, body.id.encode(), unblob(body.message))
    place = place_of(message)
    if place is None:
        return None
    error = id_taken(body.id) if answer == 0 else LOCK_HELD
    report = Report(place=place, result="failed", error=error)
    return _decode_report(pack(report_values(report)))


def log_refusal(entry: Entry, answer: int) -> None:
    """Log why *entry*, which follows a task, was not carried out; nobody waits for the answer."""
    if isinstance(entry, Report):
        log_answer_to_report(entry.place.kind, entry.place.queue, entry.place.id, answer)
    else:
        log_refused_task(entry.message.queue, entry.message.id, answer)


def log_refused_task(queue: str, task_id: str, answer: int) -> None:
    """Log why a task that follows another one was not created."""
    log.warning(
        "a task follows another one, but %s was not created in %r: %s",
        task_id,
        queue,
        _REFUSALS[answer],
    )


def log_answer_to_report(kind: Kind, queue: str, record_id: str, answer: int) -> None:
    """Log what a record has not taken of a report: see *answer* in ``shared/receive.lua``."""
    if answer == 0:
        text = "a task of the %s %s has ended, but %r no longer has it"
        log.warning(text, kind, record_id, queue)
    elif answer < 0:
        text = "%d task(s) were added to the %s %s of %r, but not created: their locks are held"
        log.warning(text, -answer, kind, record_id, queue)
