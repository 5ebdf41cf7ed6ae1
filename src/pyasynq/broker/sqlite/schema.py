"""The tables of the SQLite broker.

The file may also have a user's tables, so the names of ours have a prefix, and the version of the
schema is in a table of its own and not in ``user_version``. Times are whole microseconds since
1970, or seconds where a name ends with ``_s``.

All rows of a queue name the queue by its number. To remove a queue, its name is taken away: from
then on nobody finds its tasks and locks, and they can be deleted in small steps.
"""

import sqlite3
from typing import Final

from pyasynq.core.errors import BrokerError
from pyasynq.core.states import TaskState

VERSION: Final = 6

PENDING: Final = 2
ACTIVE: Final = 3
SCHEDULED: Final = 4
RETRY: Final = 5
ARCHIVED: Final = 6
COMPLETED: Final = 7
AGGREGATING: Final = 8
STAGED: Final = 9
HELD: Final = 10
"""States of a task; a staged task is aggregating, too, but belongs to an aggregation set.

A held one belongs to a batch that is not released yet; its set is the batch. It is scheduled if it
has a time, in its group if it has one, or else pending, but nobody finds it there.

SQLite stores these numbers in one byte, but 0 and 1 in none. A change of state must not change the
size of a row: then SQLite changes one byte in place, else it writes the whole message again.
"""

STATES: Final = {
    PENDING: TaskState.PENDING,
    ACTIVE: TaskState.ACTIVE,
    SCHEDULED: TaskState.SCHEDULED,
    RETRY: TaskState.RETRY,
    ARCHIVED: TaskState.ARCHIVED,
    COMPLETED: TaskState.COMPLETED,
    AGGREGATING: TaskState.AGGREGATING,
    STAGED: TaskState.AGGREGATING,
    HELD: TaskState.PENDING,
}

IS_WAITING: Final = "state NOT IN (2, 3)"
"""A condition of queries by state and time: without it SQLite does not take the index."""

SERVER: Final = "server"
SCHEDULER: Final = "scheduler"
"""Kinds of reports."""

NUMBERS: Final = {state: number for number, state in reversed(STATES.items())}

TABLES: Final = (
    "CREATE TABLE pyasynq_meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    # name is NULL once the queue is removed; paused_s is when it was paused.
    """CREATE TABLE pyasynq_queue(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE,
        paused_s INTEGER, processed INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE pyasynq_day(queue INTEGER, day TEXT, processed INTEGER NOT NULL,
        failed INTEGER NOT NULL, PRIMARY KEY(queue, day)) WITHOUT ROWID""",
    # at orders the tasks of a state: when a task became pending, is due, joined its group, was
    # archived, or its retention ends. group_name is the group that it is in or joins when it is
    # due. failures counts attempts to combine it. attempts maps slots to failed tries. The last
    # four columns are its run history, as in `Lease`: unstarted is the owner of a dequeue whose
    # handler was not called yet, retried the number of retries when the history was written.
    """CREATE TABLE pyasynq_task(seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, id TEXT NOT NULL,
        state INTEGER NOT NULL, at INTEGER NOT NULL, message BLOB NOT NULL, group_name TEXT,
        set_id TEXT, failures INTEGER, result BLOB, attempts BLOB,
        crashes INTEGER, unknown_since_s INTEGER, retried INTEGER, unstarted TEXT)""",
    "CREATE UNIQUE INDEX pyasynq_task_id ON pyasynq_task(queue, id)",
    "CREATE INDEX pyasynq_task_pending ON pyasynq_task(queue, at) WHERE state = 2",
    "CREATE INDEX pyasynq_task_waiting ON pyasynq_task(queue, state, at) WHERE state NOT IN (2, 3)",
    "CREATE INDEX pyasynq_task_group ON pyasynq_task(queue, group_name, at) WHERE state = 8",
    "CREATE INDEX pyasynq_task_set ON pyasynq_task(set_id) WHERE state = 9",
    # An active task has a row here. Taking a task changes its own row in place.
    """CREATE TABLE pyasynq_lease(seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL,
        owner TEXT NOT NULL, ends INTEGER NOT NULL)""",
    """CREATE TABLE pyasynq_lock(queue INTEGER, name TEXT, task_id TEXT NOT NULL,
        ends INTEGER NOT NULL, PRIMARY KEY(queue, name)) WITHOUT ROWID""",
    "CREATE INDEX pyasynq_lock_ends ON pyasynq_lock(ends)",
    """CREATE TABLE pyasynq_set(id TEXT PRIMARY KEY, queue INTEGER NOT NULL,
        group_name TEXT NOT NULL, ends INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE pyasynq_receipt(queue INTEGER, row TEXT, ends INTEGER NOT NULL,
        PRIMARY KEY(queue, row)) WITHOUT ROWID""",
    "CREATE INDEX pyasynq_receipt_ends ON pyasynq_receipt(ends)",
    """CREATE TABLE pyasynq_tick(queue INTEGER, entry TEXT, last_s INTEGER NOT NULL,
        ends INTEGER NOT NULL, PRIMARY KEY(queue, entry)) WITHOUT ROWID""",
    """CREATE TABLE pyasynq_event(entry TEXT, at_s INTEGER, record BLOB, ends INTEGER NOT NULL,
        PRIMARY KEY(entry, at_s, record)) WITHOUT ROWID""",
    # What servers and schedulers report about themselves.
    """CREATE TABLE pyasynq_report(kind TEXT, id TEXT, records BLOB NOT NULL, ends INTEGER NOT NULL,
        PRIMARY KEY(kind, id)) WITHOUT ROWID""",
    # Packed counts of runs by type; a span is a minute or ten.
    """CREATE TABLE pyasynq_runs(length_s INTEGER, queue INTEGER, start_s INTEGER,
        types BLOB NOT NULL, PRIMARY KEY(length_s, queue, start_s)) WITHOUT ROWID""",
    """CREATE TABLE pyasynq_token(scope TEXT, holder TEXT, ends_s INTEGER NOT NULL,
        PRIMARY KEY(scope, holder)) WITHOUT ROWID""",
    """CREATE TABLE pyasynq_cancel(seq INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL,
        at INTEGER NOT NULL)""",
)

OPERATOR_TABLES: Final = (
    # What an entry of schedulers enqueues, for operators.
    "CREATE TABLE pyasynq_entry(id TEXT PRIMARY KEY, task BLOB NOT NULL, ends INTEGER NOT NULL)",
    # resumed_s is NULL while the entry is paused.
    """CREATE TABLE pyasynq_pause(entry TEXT PRIMARY KEY, resumed_s INTEGER,
        ends INTEGER NOT NULL) WITHOUT ROWID""",
    # What operators want of servers; for_server tells that the target is the id of one.
    """CREATE TABLE pyasynq_control(target TEXT, name TEXT, value TEXT NOT NULL,
        at INTEGER NOT NULL, for_server INTEGER NOT NULL, PRIMARY KEY(target, name))
        WITHOUT ROWID""",
    "CREATE TABLE pyasynq_audit(seq INTEGER PRIMARY KEY AUTOINCREMENT, entry BLOB NOT NULL)",
)

FLOW_TABLES: Final = (
    # marks has a letter for each step; see core.flow. ended_s, ends and due are 0 without that:
    # ends is when the flow is deleted, due when it is cancelled. changed_s also moves when somebody
    # has looked after it.
    """CREATE TABLE pyasynq_flow(seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, id TEXT NOT NULL,
        spec BLOB NOT NULL, state TEXT NOT NULL, marks TEXT NOT NULL, version INTEGER NOT NULL,
        created_s INTEGER NOT NULL, changed_s INTEGER NOT NULL, ended_s INTEGER NOT NULL,
        ends INTEGER NOT NULL, due INTEGER NOT NULL, reason TEXT NOT NULL)""",
    "CREATE UNIQUE INDEX pyasynq_flow_id ON pyasynq_flow(queue, id)",
    "CREATE INDEX pyasynq_flow_open ON pyasynq_flow(queue, changed_s) WHERE ended_s = 0",
    "CREATE INDEX pyasynq_flow_ends ON pyasynq_flow(ends) WHERE ends > 0",
    # due is when a gate that is open is over.
    """CREATE TABLE pyasynq_flow_step(flow INTEGER, number INTEGER, plan BLOB, output BLOB,
        error TEXT, times INTEGER, due INTEGER, PRIMARY KEY(flow, number)) WITHOUT ROWID""",
    "CREATE INDEX pyasynq_flow_step_due ON pyasynq_flow_step(due) WHERE due > 0",
)

BATCH_TABLES: Final = (
    # Tasks that are created together. staged is the number of those that were added, changed the
    # time of the last change, ends when it is deleted. The last columns are for batches, which
    # count their members: numbers were given out, swept is the next to be looked at, followers are
    # the tasks that follow.
    """CREATE TABLE pyasynq_batch(seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, id TEXT NOT NULL,
        state TEXT NOT NULL, staged INTEGER NOT NULL, changed INTEGER NOT NULL, ends INTEGER,
        total INTEGER, open INTEGER, failed INTEGER, numbers INTEGER, swept INTEGER,
        made INTEGER, ended INTEGER, kept INTEGER, followers BLOB)""",
    "CREATE UNIQUE INDEX pyasynq_batch_id ON pyasynq_batch(queue, id)",
    # A row for each member that has ended; outcome is 0 for a success, 1 for a failure, 2 for a
    # number that is reserved, 3 for a failed one that waits to run again.
    """CREATE TABLE pyasynq_ended(batch INTEGER, number INTEGER, outcome INTEGER NOT NULL,
        PRIMARY KEY(batch, number)) WITHOUT ROWID""",
    "CREATE INDEX pyasynq_task_held ON pyasynq_task(queue, set_id) WHERE state = 10",
)

MAP_TABLES: Final = (
    # times is how often the failed members ran again; cancelled and releases are 1 or 0: releases
    # tells that members wait until others have ended. home, flow and node name the step of a
    # flow that a map is.
    "ALTER TABLE pyasynq_batch ADD COLUMN times INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE pyasynq_batch ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE pyasynq_batch ADD COLUMN releases INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE pyasynq_batch ADD COLUMN home TEXT",
    "ALTER TABLE pyasynq_batch ADD COLUMN flow TEXT",
    "ALTER TABLE pyasynq_batch ADD COLUMN node INTEGER",
    # bytes is the size of the kept results; NULL if none are kept.
    "ALTER TABLE pyasynq_batch ADD COLUMN bytes INTEGER",
    "ALTER TABLE pyasynq_ended ADD COLUMN output BLOB",
    "CREATE INDEX pyasynq_ended_outcome ON pyasynq_ended(batch, outcome) WHERE outcome IN (1, 3)",
)

LOCK_TABLES: Final = (
    # name is that of the flow if no other that runs may have it; locked is until when.
    "ALTER TABLE pyasynq_flow ADD COLUMN name TEXT",
    "ALTER TABLE pyasynq_flow ADD COLUMN locked INTEGER",
    "CREATE INDEX pyasynq_flow_name ON pyasynq_flow(queue, name) WHERE name IS NOT NULL",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    TABLES,
    OPERATOR_TABLES,
    FLOW_TABLES,
    BATCH_TABLES,
    MAP_TABLES,
    LOCK_TABLES,
)
"""For each version the statements that lead to it from the version before."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the tables in the file; 0 if there are none."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pyasynq_meta'").fetchone()
    if found is None:
        return 0
    ((version,),) = connection.execute("SELECT value FROM pyasynq_meta WHERE key = 'schema'")
    return int(version)


def empty(connection: sqlite3.Connection) -> None:
    """Delete all rows of our tables."""
    sql = """SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'pyasynq_*'
        AND name != 'pyasynq_meta'"""
    tables = [name for (name,) in connection.execute(sql)]
    connection.execute("BEGIN IMMEDIATE")
    for table in tables:
        connection.execute(f"DELETE FROM {table}")
    connection.execute("DELETE FROM sqlite_sequence")
    connection.execute("COMMIT")


def migrate(connection: sqlite3.Connection, *, name: str) -> None:
    """Bring the tables of the file *name* to `VERSION`, in a transaction of its own.

    Raises:
        BrokerError: If a later version of pyasynq has changed them.
        sqlite3.Error: If SQLite refuses; nothing is changed then.
    """
    if _is_current(connection, name):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrate_within(connection, name=name)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it
            connection.execute("ROLLBACK")
        raise


def migrate_within(connection: sqlite3.Connection, *, name: str) -> None:
    """Do the same in the open transaction of *connection*.

    Raises:
        BrokerError: If a later version of pyasynq has changed them.
        sqlite3.Error: If SQLite refuses.
    """
    if _is_current(connection, name):  # another process may have been faster
        return
    for statement in [it for steps in MIGRATIONS[version_of(connection) :] for it in steps]:
        connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO pyasynq_meta VALUES (?, ?)", ("schema", VERSION))


def _is_current(connection: sqlite3.Connection, name: str) -> bool:
    version = version_of(connection)
    if version > VERSION:
        msg = (
            f"{name} was written by a later version of pyasynq (its tables have version {version},"
            f" this one knows {VERSION}): update pyasynq"
        )
        raise BrokerError(msg)
    return version == VERSION
