"""Uses of outboxes that a type checker must accept or refuse.

It is checked like typed_tasks.py.
"""

import sqlite3
from typing import assert_type

import aiosqlite
from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from pyasynq import Task
from pyasynq.sqlite import Outbox, immediate

TASK = Task("t")

outbox = Outbox(max_payload=1000)


def plain(session: Session, connection: Connection, file: sqlite3.Connection) -> None:
    assert_type(outbox.add(session, TASK, queue="low"), str)
    outbox.add(connection, TASK)
    outbox.add(file, TASK)
    outbox.add(file, "t")  # type: ignore[arg-type]
    outbox.add(file, TASK, quue="low")  # type: ignore[call-arg]
    outbox.wake()


async def asynchronous(
    session: AsyncSession, connection: AsyncConnection, file: aiosqlite.Connection
) -> None:
    assert_type(await outbox.enqueue(session, TASK, queue="low"), str)
    await outbox.enqueue(connection, TASK)
    await outbox.enqueue(file, TASK)
    outbox.add(session, TASK)  # type: ignore[arg-type]
    outbox.add(file, TASK)  # type: ignore[arg-type]
    outbox.enqueue(file, TASK)  # type: ignore[unused-coroutine]


def engines(engine: Engine, asynchronous: AsyncEngine) -> None:
    assert_type(immediate(engine), Engine)
    assert_type(immediate(asynchronous), AsyncEngine)
    immediate("sqlite:///shop.db")  # type: ignore[type-var]
    Outbox(codec=[])  # type: ignore[call-arg]
