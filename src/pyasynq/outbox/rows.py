"""Convert plans to rows of the outbox, and back.

A row has the message as the broker will store it, and beside it what the message does not say: when
to run, which lock to take. ``queue`` and ``type`` are for people who read the table; the relay also
uses ``queue`` to skip the rows of a queue that it cannot reach.

The table is the same whatever has made it, SQLAlchemy or Django.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from pyasynq.core.compose import Grouped, Lock, Pending, Plan, Scheduled
from pyasynq.core.errors import OptionError, PoisonError
from pyasynq.core.message import decode, encode
from pyasynq.core.options import LONGEST, check_count, check_queue

UUID_CHARACTERS: Final = 36
MD5_CHARACTERS: Final = 32
TABLE: Final = "pyasynq_outbox"
LONGEST_S: Final = int(LONGEST.total_seconds())


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row that waits for a relay.

    Attributes:
        seq: Position in the order of writing.
        id: Id of the row, never used twice.
        queue: Queue of the task, from its column.
        plan: The plan for the task, or the error if the row cannot be decoded.
    """

    seq: int
    id: str
    queue: str
    plan: Plan | PoisonError


def values_of(plan: Plan, *, row_id: str, now: datetime) -> dict[str, object]:
    """Return the columns of a row for *plan*."""
    return {
        "id": row_id,
        "queue": _without_nul(plan.message.queue),
        "type": _without_nul(plan.message.type),
        "message": encode(plan.message),
        "lock_digest": plan.lock and plan.lock.digest,
        "lock_ttl_s": plan.lock and plan.lock.ttl_s,
        "at_s": plan.at_s if isinstance(plan, Scheduled) else None,
        "created_at": now,
    }


def row_of(columns: Mapping[Any, Any]) -> Row:
    """Return the row with these *columns*."""
    plan: Plan | PoisonError
    try:
        plan = _plan_of(columns)
    except PoisonError as error:
        plan = error
    except OptionError:  # not written by an Outbox
        plan = PoisonError(len(columns["message"]))
    return Row(seq=columns["seq"], id=columns["id"], queue=columns["queue"], plan=plan)


def _plan_of(columns: Mapping[Any, Any]) -> Plan:
    message = decode(columns["message"])
    check_queue("queue", message.queue)
    lock = None
    if columns["lock_ttl_s"] is not None:
        check_count("lock_ttl_s", columns["lock_ttl_s"], LONGEST_S)
        lock = Lock(digest=columns["lock_digest"], ttl_s=columns["lock_ttl_s"])
    if columns["at_s"] is not None:
        return Scheduled(message=message, lock=lock, at_s=columns["at_s"])
    if message.group_key:
        return Grouped(message=message, lock=lock)
    return Pending(message=message, lock=lock)


def _without_nul(name: str) -> str:
    """Return *name* without NUL, which PostgreSQL cannot hold."""
    return name.replace("\0", "\N{REPLACEMENT CHARACTER}")
