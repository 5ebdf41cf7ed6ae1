"""Programs of users: each kind of session and connection behind one interface."""

import sqlite3
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Unpack

import aiosqlite
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pyasynq import Task
from pyasynq.core.options import EnqueueOptions
from pyasynq.sqlite import Outbox

CREATE = "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY)"
TASK = Task("t", b"payload")


class User(ABC):
    """A program with orders in a file, in which the tasks are too."""

    def __init__(self, path: Path, outbox: Outbox) -> None:
        """Use the file *path*."""
        self.path = path
        self.outbox = outbox

    async def order(self, number: int) -> None:
        """Write an order, whose transaction begins now if there is none."""
        await self.run(f"INSERT INTO orders VALUES ({number})")

    @abstractmethod
    async def open(self) -> None:
        """Open the session."""

    @abstractmethod
    async def run(self, sql: str) -> None:
        """Execute a statement."""

    @abstractmethod
    async def add(self, task: Task = TASK, **options: Unpack[EnqueueOptions]) -> str:
        """Add a task."""

    @abstractmethod
    async def commit(self) -> None:
        """Commit."""

    @abstractmethod
    async def rollback(self) -> None:
        """Roll back."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the session."""


class PlainUser(User):
    """Uses sqlite3."""

    session: Any

    async def open(self) -> None:
        self.session = sqlite3.connect(self.path)

    async def run(self, sql: str) -> None:
        self.session.execute(sql)

    async def add(self, task: Task = TASK, **options: Unpack[EnqueueOptions]) -> str:
        return self.outbox.add(self.session, task, **options)

    async def commit(self) -> None:
        self.session.commit()

    async def rollback(self) -> None:
        self.session.rollback()

    async def aclose(self) -> None:
        self.session.close()


class SessionUser(PlainUser):
    """Uses a Session of SQLAlchemy."""

    async def open(self) -> None:
        self.engine = create_engine(f"sqlite:///{self.path}")
        self.session = Session(self.engine)

    async def run(self, sql: str) -> None:
        self.session.execute(text(sql))

    async def aclose(self) -> None:
        self.session.close()
        self.engine.dispose()


class ConnectionUser(SessionUser):
    """Uses a Connection of SQLAlchemy."""

    async def open(self) -> None:
        self.engine = create_engine(f"sqlite:///{self.path}")
        self.session = self.engine.connect()


class AiosqliteUser(User):
    """Uses aiosqlite."""

    session: Any

    async def open(self) -> None:
        self.session = await aiosqlite.connect(self.path)

    async def run(self, sql: str) -> None:
        await self.session.execute(sql)

    async def add(self, task: Task = TASK, **options: Unpack[EnqueueOptions]) -> str:
        return await self.outbox.enqueue(self.session, task, **options)

    async def commit(self) -> None:
        await self.session.commit()

    async def rollback(self) -> None:
        await self.session.rollback()

    async def aclose(self) -> None:
        await self.session.close()


class AsyncSessionUser(AiosqliteUser):
    """Uses an AsyncSession of SQLAlchemy."""

    async def open(self) -> None:
        self.engine = create_async_engine(f"sqlite+aiosqlite:///{self.path}")
        self.session = AsyncSession(self.engine)

    async def run(self, sql: str) -> None:
        await self.session.execute(text(sql))

    async def aclose(self) -> None:
        await self.session.close()
        await self.engine.dispose()


class AsyncConnectionUser(AsyncSessionUser):
    """Uses an AsyncConnection of SQLAlchemy."""

    async def open(self) -> None:
        self.engine = create_async_engine(f"sqlite+aiosqlite:///{self.path}")
        self.session: AsyncConnection = await self.engine.connect()


KINDS: dict[str, type[User]] = {
    "sqlite3": PlainUser,
    "Session": SessionUser,
    "Connection": ConnectionUser,
    "aiosqlite": AiosqliteUser,
    "AsyncSession": AsyncSessionUser,
    "AsyncConnection": AsyncConnectionUser,
}
