"""A shop on FastAPI: orders in the transaction of their request, and reports that take a while.

Data and tasks are in files of this folder. For development, one process is enough::

    pip install fastapi uvicorn aiosqlite 'pyasynq[fastapi,sqlalchemy]'
    SHOP_WORKER=1 uvicorn shop:web

    curl -X POST http://127.0.0.1:8000/orders/book
    curl http://127.0.0.1:8000/orders/1
    curl -i -X POST http://127.0.0.1:8000/reports/2026-05
    curl -N http://127.0.0.1:8000/reports/<id>/events

In production the tasks are in Redis, and workers have processes of their own::

    export PYASYNQ_URI=redis://127.0.0.1:6379
    uvicorn shop:web
    pyasynq worker shop:app
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pyasynq
from pyasynq.integrations.fastapi import AfterResponse, ResultEvents, ResultResponse, lifespan
from pyasynq.outbox import Outbox, Relay


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    state: Mapped[str] = mapped_column(default="ordered")


app = pyasynq.App(os.environ.get("PYASYNQ_URI", "sqlite:///tasks.db"))
outbox = Outbox(Base.metadata)
engine = create_async_engine("sqlite+aiosqlite:///shop.db")


# -- tasks -----------------------------------------------------------------------------------------


@app.task("order:ship")
async def ship(order_id: int) -> None:
    """Ship an order; it is there, because the task was enqueued after its commit."""
    async with AsyncSession(engine) as session, session.begin():
        order = await session.get_one(Order, order_id)
        order.state = "shipped"


@app.task("report:make", retention=timedelta(hours=1))
async def make_report(month: str, seconds: float = 0) -> dict[str, str]:
    """Make a report, which takes a while."""
    await asyncio.sleep(seconds)
    return {"month": month, "sold": "many books"}


@app.task("visit:count")
def count_visit(item: str) -> None:
    """Count a visit. A plain function runs in a thread."""
    print(f"somebody has looked at {item}", flush=True)


# -- endpoints -------------------------------------------------------------------------------------


@asynccontextmanager
async def open_shop(_web: FastAPI) -> AsyncGenerator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with Relay(outbox, engine, app.client).running():
        yield
    await engine.dispose()


web = FastAPI(lifespan=lifespan(app, open_shop, worker="SHOP_WORKER" in os.environ))


async def in_transaction() -> AsyncGenerator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
        yield session


# The scope makes FastAPI commit before it responds, so that a failed commit is no success.
SessionDep = Annotated[AsyncSession, Depends(in_transaction, scope="function")]
LaterDep = Annotated[AfterResponse, Depends()]


@web.post("/orders/{item}", status_code=201)
async def order(item: str, session: SessionDep) -> dict[str, int]:
    new = Order(item=item)
    session.add(new)
    await session.flush()
    await outbox.enqueue(session, ship.task(new.id))
    return {"id": new.id}


@web.get("/orders/{order_id}")
async def show_order(order_id: int, session: SessionDep, later: LaterDep) -> dict[str, str]:
    found = await session.get(Order, order_id)
    if found is None:
        raise HTTPException(404)
    later.add(count_visit.task(found.item))
    return {"item": found.item, "state": found.state}


@web.post("/reports/{month}")
async def post_report(
    request: Request, month: str, seconds: float = 0, wait: float = 2
) -> ResultResponse:
    info = await make_report.enqueue(month, seconds)
    later = request.url_for("report", report_id=info.id)
    return ResultResponse(make_report, info, timeout=timedelta(seconds=wait), later=later)


@web.get("/reports/{report_id}")
def report(request: Request, report_id: str) -> ResultResponse:
    return ResultResponse(make_report, report_id, timeout=timedelta(seconds=2), later=request.url)


@web.get("/reports/{report_id}/events")
def report_events(report_id: str) -> ResultEvents:
    return ResultEvents(make_report, report_id)
