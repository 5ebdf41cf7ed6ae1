"""Write tasks into an outbox, read its rows, and run the relayed tasks."""

from collections.abc import Sequence
from typing import Unpack

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from pyasynq import Task
from pyasynq.broker import Broker, DequeueResult, Lease
from pyasynq.core.options import EnqueueOptions
from pyasynq.core.verdict import DONE
from pyasynq.outbox import Outbox

TASK = Task("t", b"payload")


async def write(
    outbox: Outbox, engine: AsyncEngine, task: Task = TASK, **options: Unpack[EnqueueOptions]
) -> str:
    """Write one task and commit."""
    async with AsyncSession(engine) as session, session.begin():
        return await outbox.enqueue(session, task, **options)


async def write_many(outbox: Outbox, engine: AsyncEngine, tasks: Sequence[Task]) -> list[str]:
    """Write *tasks* in one transaction."""
    async with AsyncSession(engine) as session, session.begin():
        return [await outbox.enqueue(session, task) for task in tasks]


async def count(outbox: Outbox, engine: AsyncEngine) -> int:
    """Return the number of rows."""
    async with engine.connect() as connection:
        found = await connection.execute(select(func.count()).select_from(outbox.table))
        return int(found.scalar_one())


async def errors(outbox: Outbox, engine: AsyncEngine) -> list[str | None]:
    """Return the errors of the rows."""
    async with engine.connect() as connection:
        return list((await connection.execute(select(outbox.table.c.error))).scalars())


async def run_pending(broker: Broker, queue: str = "default") -> list[str]:
    """Take and complete all pending tasks; return their ids in order."""
    done: list[str] = []
    while leases := await _take(broker, queue):
        await broker.work.settle([(lease, DONE) for lease in leases])
        done += [lease.id for lease in leases]
    return done


async def _take(broker: Broker, queue: str) -> list[Lease]:
    (result,) = await broker.work.dequeue({queue: 100}, owner="test/1", lease_s=30)
    assert isinstance(result, DequeueResult)
    return result.leases
