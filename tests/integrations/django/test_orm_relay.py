"""A relay on Django's ORM enqueues each row once, and shares the table with SQLAlchemy's relay."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from pyasynq import Client, Inspector, Task
from pyasynq.integrations.django import outbox
from pyasynq.integrations.django.models import OutboxTask
from pyasynq.integrations.django.orm_outbox import Outbox as OrmOutbox
from pyasynq.integrations.django.orm_relay import OrmRelay
from pyasynq.outbox import Outbox, Relay
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

TASK = Task("t", b"payload")


@pytest.fixture(params=["default", "postgres"])
def using(request: pytest.FixtureRequest) -> str:
    """Return the alias of a database of each kind."""
    request.getfixturevalue("postgres" if request.param == "postgres" else "database")
    alias: str = request.param
    return alias


@pytest.fixture
async def client(broker_url: str) -> AsyncGenerator[Client]:
    async with Client(broker_url) as client:
        yield client


@asynccontextmanager
async def relay_of(using: str, client: Client) -> AsyncGenerator[OrmRelay]:
    """Yield a relay with a thread of its own."""
    relay = OrmRelay(outbox, using, client)
    try:
        yield relay
    finally:
        await relay._close_database()


@sync_to_async
def write(using: str, count: int = 1, task: Task = TASK) -> list[str]:
    """Write tasks in one transaction; return their ids."""
    with transaction.atomic(using=using):
        return [outbox.add(task, using=using) for _ in range(count)]


async def count(using: str) -> int:
    return await OutboxTask.objects.using(using).acount()


async def pending(inspector: Inspector) -> list[str]:
    if await inspector.queues() == []:
        return []
    return [task.id for task in await inspector.list_tasks("default", "pending", size=1000)]


async def test_rows_become_tasks_in_their_order_and_are_gone(
    using: str, client: Client, inspector: Inspector
) -> None:
    written = await write(using, 300)
    async with relay_of(using, client) as relay:
        await relay.step()
    assert await pending(inspector) == written
    assert await count(using) == 0


async def test_relays_that_read_at_once_enqueue_each_row_once(
    using: str, client: Client, inspector: Inspector
) -> None:
    written = await write(using, 200)
    async with relay_of(using, client) as one, relay_of(using, client) as another:
        await asyncio.gather(one.step(), another.step())
    assert sorted(await pending(inspector)) == sorted(written)
    assert await count(using) == 0


async def test_a_relay_that_dies_before_it_deletes_leaves_nothing_to_enqueue_twice(
    using: str, client: Client, inspector: Inspector
) -> None:
    written = await write(using, 3)

    async def die(*_: object) -> None:
        raise KeyboardInterrupt

    async with relay_of(using, client) as dying, relay_of(using, client) as next_one:
        dying._delete = die  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            await dying.step()
        assert await count(using) == 3
        await next_one.step()
    assert await pending(inspector) == written
    assert await count(using) == 0


async def test_bytes_that_are_no_task_are_kept_with_their_error(
    using: str, client: Client, inspector: Inspector
) -> None:
    (good,) = await write(using)
    await write(using)
    last = await OutboxTask.objects.using(using).alast()
    assert last is not None
    await OutboxTask.objects.using(using).filter(seq=last.seq).aupdate(message=b"\xff")
    async with relay_of(using, client) as relay:
        await relay.step()
        await relay.step()
    (kept,) = [row async for row in OutboxTask.objects.using(using)]
    assert (kept.seq, bool(kept.error)) == (last.seq, True)
    assert await pending(inspector) == [good]


async def test_a_commit_wakes_a_relay_of_the_same_process(
    using: str, client: Client, inspector: Inspector
) -> None:
    async with relay_of(using, client) as relay, relay.running():
        await relay.passes.next()
        written = await write(using)
        await wait_until(lambda: is_pending(inspector, written))


async def test_a_commit_elsewhere_wakes_a_relay_on_postgresql(
    postgres: PostgresServer, one_broker_url: str, inspector: Inspector
) -> None:
    hour = timedelta(hours=1)
    async with Client(one_broker_url) as client:
        # It knows nothing of the outbox of this process, which writes the rows.
        relay = OrmRelay(OrmOutbox(), "postgres", client, poll_interval=hour)
        async with relay.running():
            await relay.passes.next()
            written = await write("postgres")
            await wait_until(lambda: is_pending(inspector, written))
        await relay._close_database()


async def is_pending(inspector: Inspector, ids: list[str]) -> bool:
    return await pending(inspector) == ids


async def test_a_relay_works_again_after_a_restart_of_postgresql(
    postgres: PostgresServer,
    one_broker_url: str,
    inspector: Inspector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pyasynq.outbox")
    async with Client(one_broker_url) as client, relay_of("postgres", client) as relay:
        async with relay.running():
            await relay.passes.next()
            await asyncio.to_thread(postgres.halt, "immediate")
            await wait_until(lambda: "trying again until it works" in caplog.text)
            await asyncio.to_thread(postgres.start_again)
            await sync_to_async(connections.close_all)()
            written = await write("postgres")
            await wait_until(lambda: is_pending(inspector, written))


async def test_a_missing_table_is_named(
    database: None, one_broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Client(one_broker_url) as client, relay_of("empty", client) as relay:
        async with relay.running():
            await relay.passes.next()
    assert "make the table by manage.py migrate" in caplog.text


@pytest.mark.usefixtures("database")
async def test_relay_and_outbox_of_sqlalchemy_share_the_table(
    folder: Path, client: Client, inspector: Inspector
) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/shop.sqlite3")
    theirs = Outbox()
    (ours_id,) = await write("default")
    await Relay(theirs, engine, client).step()
    assert await pending(inspector) == [ours_id]
    async with AsyncSession(engine) as session, session.begin():
        their_id = await theirs.enqueue(session, TASK)
    async with relay_of("default", client) as relay:
        await relay.step()
    assert await pending(inspector) == [ours_id, their_id]
    await engine.dispose()
