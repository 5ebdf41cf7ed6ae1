"""Convert plans to rows of the outbox, and back.

A row has the message as the broker will store it, and beside it what the message does not say: when
to run, which lock to take. ``queue`` and ``type`` are for people who read the table; the relay also
uses ``queue`` to skip the rows of a queue that it cannot reach.
"""

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
)

from pyasynq.core.compose import Grouped, Lock, Pending, Plan, Scheduled
from pyasynq.core.errors import OptionError, PoisonError
from pyasynq.core.message import decode, encode
from pyasynq.core.options import LONGEST, MAX_NAME, check_count, check_queue

UUID_CHARACTERS: Final = 36
MD5_CHARACTERS: Final = 32
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


def make_table(name: str, metadata: MetaData) -> Table:
    """Return the table *name*, declared in *metadata*."""
    table = Table(
        name,
        metadata,
        Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
        Column("id", String(UUID_CHARACTERS), nullable=False),
        Column("queue", String(MAX_NAME), nullable=False),
        Column("type", String(MAX_NAME), nullable=False),
        Column("message", LargeBinary, nullable=False),
        Column("lock_digest", String(MD5_CHARACTERS)),
        Column("lock_ttl_s", BigInteger),
        Column("at_s", BigInteger),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("error", Text),
        sqlite_autoincrement=True,  # otherwise a new row could get the number of a deleted one
    )
    waiting = table.c.error.is_(None)
    Index(f"ix_{name}_waiting", table.c.seq, postgresql_where=waiting, sqlite_where=waiting)
    return table


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


def row_of(columns: RowMapping) -> Row:
    """Return the row with these *columns*."""
    plan: Plan | PoisonError
    try:
        plan = _plan_of(columns)
    except PoisonError as error:
        plan = error
    except OptionError:  # not written by an Outbox
        plan = PoisonError(len(columns["message"]))
    return Row(seq=columns["seq"], id=columns["id"], queue=columns["queue"], plan=plan)


def _plan_of(columns: RowMapping) -> Plan:
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
