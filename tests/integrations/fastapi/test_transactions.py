"""Tasks are enqueued in the transaction of a request, by an outbox."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pyasynq import App, TypedTask
from pyasynq.integrations.fastapi import lifespan
from pyasynq.outbox import Outbox, Relay
from tests.support.waiting import wait_until
from tests.support.web import serving

UNWANTED = 13


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


outbox = Outbox(Base.metadata)


@pytest.fixture
def app(app_of_each: App) -> App:
    """Return an app on each broker."""
    return app_of_each


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncGenerator[AsyncEngine]:
    """Yield an engine of a database with orders and an outbox."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/shop.db")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
def ship(app: App) -> TypedTask[[int], None]:
    """Return the task of an order."""

    @app.task("order:ship")
    async def ship(order: int) -> None: ...

    return ship


@pytest.fixture
async def client(
    app: App, ship: TypedTask[[int], None], engine: AsyncEngine
) -> AsyncGenerator[httpx.AsyncClient]:
    """Yield a client of a shop, whose relay runs in its lifespan."""
    plain = create_engine(str(engine.url).replace("+aiosqlite", ""))

    async def in_transaction() -> AsyncGenerator[AsyncSession]:
        async with AsyncSession(engine) as session, session.begin():
            yield session

    def in_plain_transaction() -> Generator[Session]:
        with Session(plain) as session, session.begin():
            yield session

    @asynccontextmanager
    async def relaying(web: FastAPI) -> AsyncGenerator[None]:
        async with Relay(outbox, engine, app.client).running():
            yield
        plain.dispose()

    web = FastAPI(lifespan=lifespan(app, relaying))

    @web.post("/async/{order}")
    async def post(
        order: int,
        session: Annotated[AsyncSession, Depends(in_transaction, scope="function")],
    ) -> None:
        session.add(Order(id=order))
        await outbox.enqueue(session, ship.task(order))
        if order == UNWANTED:
            raise HTTPException(409)

    @web.post("/plain/{order}")
    def post_in_thread(
        order: int, session: Annotated[Session, Depends(in_plain_transaction, scope="function")]
    ) -> None:
        session.add(Order(id=order))
        outbox.add(session, ship.task(order))

    async with serving(web) as client:
        yield client


async def orders_to_ship(app: App) -> list[bytes]:
    """Return the payloads of the tasks that wait."""
    async with app.inspector() as inspector:
        if "default" not in await inspector.queues():
            return []
        return [info.payload for info in await inspector.list_tasks("default", "pending")]


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_the_task_follows_the_commit(
    kind: str, app: App, engine: AsyncEngine, client: httpx.AsyncClient
) -> None:
    assert (await client.post(f"/{kind}/7")).status_code == 200
    async with AsyncSession(engine) as session:
        assert await session.get(Order, 7), "the commit comes before the response"
    await wait_until(lambda: orders_to_ship(app))
    assert await orders_to_ship(app) == [b'{"order":7}']


async def test_a_request_that_fails_leaves_neither_order_nor_task(
    app: App, engine: AsyncEngine, client: httpx.AsyncClient
) -> None:
    assert (await client.post(f"/async/{UNWANTED}")).status_code == 409
    await client.post("/async/8")
    await wait_until(lambda: orders_to_ship(app))
    assert await orders_to_ship(app) == [b'{"order":8}']
    async with AsyncSession(engine) as session:
        assert await session.get(Order, UNWANTED) is None
