"""What a task is in the database, and how it becomes a plan again.

The message is the one that will stand in Redis; what it does not say (when to run, which lock to
take) stands beside it. ``queue`` and ``type`` are there for people who look; nothing reads them but
the relay, which passes over the rows of a queue that cannot be reached.
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
    """A row that waits.

    Attributes:
        seq: Its place in the order of writing.
        id: Its own id, never used twice.
        queue: Queue of the task, as the table names it.
        plan: What becomes of the task, or why nothing can.
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
        sqlite_autoincrement=True,  # or the number of a deleted row would be given to a new one
    )
    waiting = table.c.error.is_(None)
    Index(f"ix_{name}_waiting", table.c.seq, postgresql_where=waiting, sqlite_where=waiting)
    return table


def values_of(plan: Plan, *, row_id: str, now: datetime) -> dict[str, object]:
    """Return the columns of a row for *plan*."""
    return {
        "id": row_id,
        "queue": _shown(plan.message.queue),
        "type": _shown(plan.message.type),
        "message": encode(plan.message),
        "lock_digest": plan.lock and plan.lock.digest,
        "lock_ttl_s": plan.lock and plan.lock.ttl_s,
        "at_s": plan.at_s if isinstance(plan, Scheduled) else None,
        "created_at": now,
    }


def row_of(columns: RowMapping) -> Row:
    """Return the row that *columns* hold."""
    plan: Plan | PoisonError
    try:
        plan = _plan_of(columns)
    except PoisonError as error:
        plan = error
    except OptionError:  # somebody wrote the row by hand
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


def _shown(name: str) -> str:
    """Return *name* without NUL, which PostgreSQL cannot hold."""
    return name.replace("\0", "\N{REPLACEMENT CHARACTER}")
