"""The outbox of `tests.upgrade.peer`; in its own module, because importing SQLAlchemy is slow."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from pyasynq import Client, Task
from pyasynq.outbox import Outbox, Relay


async def write(database: str, tasks: Sequence[Task], options: Any) -> list[str]:  # noqa: ANN401 - keywords
    """Write *tasks* into the outbox in the file *database*, and return their ids."""
    outbox, engine = Outbox(), _engine(database)
    async with engine.begin() as connection:
        await connection.run_sync(outbox.table.metadata.create_all)
    async with AsyncSession(engine) as session, session.begin():
        ids = [await outbox.enqueue(session, task, **options) for task in tasks]
    await engine.dispose()
    return ids


async def relay(database: str, client: Client) -> None:
    """Relay the current rows of the outbox."""
    engine = _engine(database)
    await Relay(Outbox(), engine, client).step()
    await engine.dispose()


def _engine(database: str) -> AsyncEngine:
    return create_async_engine(f"sqlite+aiosqlite:///{database}")
