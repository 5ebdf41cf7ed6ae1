"""A task is written in the transaction of its data, and checked at once."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import MetaData, create_engine, select, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pyasynq import (
    App,
    CallNext,
    ClientMiddleware,
    MiddlewareError,
    OptionError,
    Options,
    Task,
    TaskInfo,
)
from pyasynq.core.codec import HEADER
from pyasynq.core.compose import Grouped, Lock, Pending, Plan, Scheduled
from pyasynq.core.errors import PoisonError
from pyasynq.outbox import Outbox
from pyasynq.outbox.rows import row_of
from tests.outbox.outbox_rows import TASK, count, write, write_many
from tests.support.clocks import SteeredClock
from tests.support.codecs import Envelope, Zlib

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(clock=SteeredClock(NOW), max_payload=100)


@pytest.fixture
async def session(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    async with AsyncSession(engine) as session:
        yield session


async def plan(outbox: Outbox, engine: AsyncEngine) -> Plan | PoisonError:
    """Return the plan of the only row."""
    async with engine.connect() as connection:
        return row_of((await connection.execute(select(outbox.table))).mappings().one()).plan


async def test_a_task_is_written_with_the_transaction(
    outbox: Outbox, engine: AsyncEngine, session: AsyncSession
) -> None:
    await outbox.enqueue(session, TASK)
    await session.commit()
    assert await count(outbox, engine) == 1


async def test_a_rollback_leaves_nothing(
    outbox: Outbox, engine: AsyncEngine, session: AsyncSession
) -> None:
    await outbox.enqueue(session, TASK)
    await session.rollback()
    assert await count(outbox, engine) == 0


async def test_a_savepoint_that_is_undone_leaves_nothing(
    outbox: Outbox, engine: AsyncEngine, session: AsyncSession
) -> None:
    await outbox.enqueue(session, TASK)
    savepoint = await session.begin_nested()
    await outbox.enqueue(session, TASK)
    await savepoint.rollback()
    await session.commit()
    assert await count(outbox, engine) == 1


async def test_the_task_id_is_that_of_the_row(
    outbox: Outbox, engine: AsyncEngine, session: AsyncSession
) -> None:
    task_id = await outbox.enqueue(session, TASK)
    assert (await session.scalars(select(outbox.table.c.id))).all() == [task_id]


async def test_a_task_id_of_the_users_own_is_kept(outbox: Outbox, engine: AsyncEngine) -> None:
    assert await write(outbox, engine, task_id="mine") == "mine"
    found = await plan(outbox, engine)
    assert isinstance(found, Pending)
    assert found.message.id == "mine"


async def test_the_message_is_the_one_that_a_client_would_send(
    outbox: Outbox, engine: AsyncEngine
) -> None:
    task = Task("t", b"p", headers={"a": "1"}, queue="low", max_retry=3)
    await write(outbox, engine, task, headers={"b": "2"}, retention=timedelta(hours=1))
    found = await plan(outbox, engine)
    assert isinstance(found, Pending)
    message = found.message
    assert (message.type, message.payload, message.queue) == ("t", b"p", "low")
    assert (message.retry, message.retention, dict(message.headers)) == (
        3,
        3600,
        {"a": "1", "b": "2"},
    )


async def test_a_delay_counts_from_the_writing(outbox: Outbox, engine: AsyncEngine) -> None:
    await write(outbox, engine, process_in=timedelta(seconds=10))
    found = await plan(outbox, engine)
    assert isinstance(found, Scheduled)
    assert found.at_s == NOW.timestamp() + 10


async def test_a_group_is_kept(outbox: Outbox, engine: AsyncEngine) -> None:
    await write(outbox, engine, group="g")
    found = await plan(outbox, engine)
    assert isinstance(found, Grouped)
    assert found.message.group_key == "g"


@pytest.mark.parametrize("payload", [None, b"payload"])
async def test_a_unique_lock_is_kept(
    outbox: Outbox, engine: AsyncEngine, payload: bytes | None
) -> None:
    await write(outbox, engine, Task("t", payload), unique=timedelta(minutes=1))
    found = await plan(outbox, engine)
    assert isinstance(found, Pending)
    assert isinstance(found.lock, Lock)
    assert (found.lock.ttl_s, bool(found.lock.digest)) == (60, payload is not None)


async def test_a_type_that_no_database_column_holds_is_written(
    outbox: Outbox, engine: AsyncEngine
) -> None:
    await write(outbox, engine, Task("t\0\N{PILE OF POO}"), queue="q\0")
    found = await plan(outbox, engine)
    assert isinstance(found, Pending)
    assert (found.message.type, found.message.queue) == ("t\0\N{PILE OF POO}", "q\0")


@pytest.mark.parametrize(
    ("options", "option"), [({"queue": "{"}, "queue"), ({"max_retry": -1}, "max_retry")]
)
async def test_an_option_that_is_not_allowed_writes_nothing(
    outbox: Outbox, session: AsyncSession, options: dict[str, object], option: str
) -> None:
    with pytest.raises(OptionError) as caught:
        await outbox.enqueue(session, TASK, **options)  # type: ignore[arg-type]
    assert caught.value.option == option
    assert not session.in_transaction()


async def test_a_payload_that_is_too_large_writes_nothing(
    outbox: Outbox, session: AsyncSession
) -> None:
    with pytest.raises(OptionError, match="payload must be at most 100 bytes"):
        await outbox.enqueue(session, Task("t", bytes(101)))
    assert not session.in_transaction()


async def test_tasks_of_one_transaction_are_in_order(outbox: Outbox, engine: AsyncEngine) -> None:
    ids = await write_many(outbox, engine, [TASK] * 3)
    async with engine.connect() as connection:
        query = select(outbox.table.c.id).order_by(outbox.table.c.seq)
        assert (await connection.execute(query)).scalars().all() == ids


def test_a_plain_session_writes_too(tmp_path: Path) -> None:
    outbox = Outbox()
    engine = create_engine(f"sqlite:///{tmp_path}/test.db")
    outbox.table.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        task_id = outbox.add(session, TASK)
    with Session(engine) as session:
        assert session.scalars(select(outbox.table.c.id)).all() == [task_id]
    engine.dispose()


class RequestSession(Session):
    """A session like that of Flask-SQLAlchemy: one for each request; tables choose the database."""

    def get_bind(self, mapper: Any = None, *, clause: Any = None, **more: Any) -> Any:  # noqa: ANN401
        return self.info["engines"].get(clause, self.info["engines"][None])


class Pages:
    """An application with one session for each request."""

    def __init__(self, outbox: Outbox, folder: Path) -> None:
        self.outbox = outbox
        self.request = object()
        self.engines = {
            table: create_engine(f"sqlite:///{folder}/{name}.db")
            for table, name in ((None, "pages"), (outbox.table, "tasks"))
        }
        outbox.table.metadata.create_all(self.engines[outbox.table])
        self.session = scoped_session(
            sessionmaker(class_=RequestSession, info={"engines": self.engines}),
            scopefunc=lambda: id(self.request),
        )

    def write(self) -> str:
        """Handle a request that enqueues."""
        self.request = object()
        task_id = self.outbox.add(self.session, TASK)
        self.session.commit()
        self.session.remove()
        return task_id

    def read(self) -> None:
        """Handle a request that only reads."""
        self.request = object()
        self.session.execute(text("select 1"))
        self.session.remove()


@pytest.fixture
def pages(tmp_path: Path) -> Generator[Pages]:
    pages = Pages(Outbox(), tmp_path)
    yield pages
    for engine in pages.engines.values():
        engine.dispose()


def test_a_session_that_belongs_to_a_request_writes(pages: Pages) -> None:
    written = [pages.write(), pages.write()]
    with pages.engines[pages.outbox.table].connect() as connection:
        assert [*connection.scalars(select(pages.outbox.table.c.id))] == written


def test_a_request_that_only_reads_is_none_of_an_outbox_that_others_used(pages: Pages) -> None:
    woken: list[int] = []
    with pages.outbox.waking(lambda: woken.append(1)):
        pages.write()
        pages.read()
        pages.write()
    assert woken == [1, 1]


def test_sessions_of_later_requests_have_no_listeners_of_earlier_ones(pages: Pages) -> None:
    pages.write()
    later = pages.session()
    assert not [*later.dispatch.after_transaction_end]
    pages.session.remove()


def test_a_session_whose_info_was_cleared_wakes_but_once(tmp_path: Path) -> None:
    outbox = Outbox()
    engine = create_engine(f"sqlite:///{tmp_path}/test.db")
    outbox.table.metadata.create_all(engine)
    woken: list[int] = []
    with Session(engine) as session, outbox.waking(lambda: woken.append(1)):
        outbox.add(session, TASK)
        session.info.clear()
        session.rollback()
        outbox.add(session, TASK)
        session.commit()
    engine.dispose()
    assert woken == [1]


async def test_a_session_of_asyncio_that_belongs_to_a_scope_writes(
    outbox: Outbox, engine: AsyncEngine
) -> None:
    scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)
    task_id = await outbox.enqueue(scoped, TASK)
    await scoped.commit()
    assert [*await scoped.scalars(select(outbox.table.c.id))] == [task_id]
    await scoped.remove()


async def test_a_scope_of_asyncio_is_not_for_add(outbox: Outbox, engine: AsyncEngine) -> None:
    scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)
    with pytest.raises(TypeError, match=r"use await outbox\.enqueue"):
        outbox.add(cast("Any", scoped), TASK)


def test_the_table_is_declared_among_the_users_own() -> None:
    metadata = MetaData()
    assert Outbox(metadata, table="tasks").table is metadata.tables["tasks"]


async def test_a_commit_wakes_but_once(
    outbox: Outbox, engine: AsyncEngine, session: AsyncSession
) -> None:
    woken: list[int] = []
    with outbox.waking(lambda: woken.append(1)):
        async with session.begin_nested():
            await outbox.enqueue(session, TASK)
        await outbox.enqueue(session, TASK)
        assert woken == []
        await session.commit()
        assert woken == [1]
        await session.commit()
    assert woken == [1]


async def test_a_session_of_asyncio_is_not_for_add(outbox: Outbox, session: AsyncSession) -> None:
    with pytest.raises(TypeError, match=r"use await outbox\.enqueue"):
        outbox.add(cast("Any", session), TASK)


def test_something_else_than_a_session_is_refused(outbox: Outbox, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/tasks.db")
    with pytest.raises(TypeError, match=r"^add needs a Session, .*, got Engine"):
        outbox.add(cast("Any", engine), TASK)
    engine.dispose()


async def test_the_error_for_a_typed_task_says_how_it_makes_a_task(
    outbox: Outbox, session: AsyncSession
) -> None:
    @App().task("email")
    def email(to: str) -> None: ...

    with pytest.raises(OptionError, match=r"^task must be a Task \(.*\.task\(…\)\), got <Typed"):
        await outbox.enqueue(session, cast("Task", email))


async def test_a_plain_session_is_for_add(outbox: Outbox) -> None:
    with Session() as plain, pytest.raises(TypeError, match=r"call outbox\.add"):
        await outbox.enqueue(cast("Any", plain), TASK)


# -- middleware and codecs -------------------------------------------------------------------------


async def signing(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    return await call_next(task, options.merge(headers={"user": "bob"}))


async def waiting(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    await asyncio.sleep(0)
    return await call_next(task, options)


async def waiting_after(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    info = await call_next(task, options)
    await asyncio.sleep(0)
    return info


async def refusing(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    msg = "not today"
    raise ValueError(msg)


def add_in_a_file(tmp_path: Path, outbox: Outbox) -> list[dict[str, str]]:
    """Add a task in a plain session; return the headers of the written tasks."""
    engine = create_engine(f"sqlite:///{tmp_path}/plain.db")
    outbox.table.metadata.create_all(engine)
    try:
        with Session(engine) as session, session.begin():
            outbox.add(session, TASK)
        with Session(engine) as session:
            rows = session.execute(select(outbox.table)).mappings().all()
        plans = [row_of(row).plan for row in rows]
        return [dict(plan.message.headers) for plan in plans if isinstance(plan, Pending)]
    finally:
        engine.dispose()


def test_middleware_is_called_for_a_task_that_is_added(tmp_path: Path) -> None:
    assert add_in_a_file(tmp_path, Outbox(middleware=[signing])) == [{"user": "bob"}]


@pytest.mark.parametrize("middleware", [waiting, waiting_after])
def test_middleware_that_waits_is_refused_where_it_cannot(
    tmp_path: Path, middleware: ClientMiddleware
) -> None:
    with pytest.raises(MiddlewareError, match=r"must not wait .*: .*`await outbox.enqueue\("):
        add_in_a_file(tmp_path, Outbox(middleware=[middleware]))


def test_middleware_that_refuses_a_task_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not today"):
        add_in_a_file(tmp_path, Outbox(middleware=[refusing]))
    assert add_in_a_file(tmp_path, Outbox()) == [{}]


@pytest.mark.parametrize("middleware", [waiting, waiting_after])
async def test_middleware_may_wait_where_the_session_does(
    engine: AsyncEngine, middleware: ClientMiddleware
) -> None:
    outbox = Outbox(middleware=[signing, middleware])
    task_id = await write(outbox, engine)
    found = await plan(outbox, engine)
    assert isinstance(found, Pending)
    assert (found.message.id, dict(found.message.headers)) == (task_id, {"user": "bob"})


async def test_wrong_arguments_are_refused_before_middleware_is_called(
    engine: AsyncEngine, session: AsyncSession
) -> None:
    outbox = Outbox(middleware=[refusing])
    with pytest.raises(OptionError, match="max_retry"):
        await outbox.enqueue(session, TASK, max_retry=-1)
    with pytest.raises(OptionError, match="a Task"):
        await outbox.enqueue(session, "t")  # type: ignore[arg-type]


async def test_a_row_holds_what_is_sealed_and_the_lock_of_what_was(engine: AsyncEngine) -> None:
    sealing = Outbox(codecs=[Envelope()], clock=SteeredClock(NOW))
    await write(sealing, engine, Task("t", b"card 1234"), unique=timedelta(hours=1))
    found = await plan(sealing, engine)
    assert isinstance(found, Pending)
    assert b"1234" not in found.message.payload
    assert dict(found.message.headers) == {HEADER: "envelope"}
    assert found.lock == Lock(digest=md5(b"card 1234").hexdigest(), ttl_s=3600)


async def test_the_largest_payload_is_that_which_travels(engine: AsyncEngine) -> None:
    await write(Outbox(codecs=[Zlib()], max_payload=100), engine, Task("t", bytes(10_000)))
    with pytest.raises(OptionError, match="at most 100 bytes"):
        await write(Outbox(codecs=[Envelope()], max_payload=100), engine, Task("t", bytes(90)))


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="unknown option 'codec'; did you mean 'codecs'"):
        Outbox(codec=[])  # type: ignore[call-arg]
