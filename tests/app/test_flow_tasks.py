"""A flow may travel as a task, which opens it when it runs: once, however often that is."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from pyasynq import (
    ActiveTask,
    App,
    CallNext,
    Client,
    DuplicateFlowError,
    Flow,
    Inspector,
    OptionError,
    Options,
    Scheduler,
    Task,
    TaskInfo,
    TypedTask,
)
from pyasynq.broker import Broker
from pyasynq.client.flow_starter import flow_in
from pyasynq.client.flow_template import decode_template
from pyasynq.core.control import PayloadError
from pyasynq.outbox import Outbox, Relay
from tests.support.brokers import KINDS, broker_of
from tests.support.clocks import SteeredClock
from tests.support.codecs import Zlib
from tests.support.servers import RedisServer


class Notes:
    """What the tasks of a test have noted."""

    def __init__(self) -> None:
        self.lines: list[str] = []


@pytest.fixture
def notes() -> Notes:
    return Notes()


def declare(app: App, notes: Notes) -> tuple[TypedTask[[int], int], TypedTask[[int], None]]:
    @app.task("fetch")
    async def fetch(page: int) -> int:
        notes.lines.append(f"fetch {page}")
        return page + 1

    @app.task("show", queue="low")
    async def show(value: int) -> None:
        notes.lines.append(f"show {value}")

    return fetch, show


def a_flow(app: App, notes: Notes) -> Flow:
    """Return a flow of two steps, the second of which uses the result of the first."""
    fetch, show = declare(app, notes)
    flow = app.flow("import", keep=timedelta(hours=2))
    flow.add(show.task(flow.add(fetch.task(1)).result))
    return flow


async def run(app: App) -> None:
    await app.server(queues={"default": 1, "low": 1}).run()


async def test_the_task_of_a_flow_opens_it_with_the_id_of_the_task(
    app: App, notes: Notes, client: Client, inspector: Inspector
) -> None:
    info = await client.enqueue(a_flow(app, notes).task(), task_id="7")
    assert (info.type, info.queue) == ("pyasynq:flow", "default")
    await run(app)
    found = await inspector.flow("default", "7")
    assert (found.name, found.state) == ("import", "succeeded")
    assert [step.task_id for step in found.steps] == ["7:fetch", "7:show"]
    assert notes.lines == ["fetch 1", "show 2"]


async def test_a_flow_is_opened_once_however_often_its_task_runs(
    app: App, notes: Notes, client: Client, inspector: Inspector
) -> None:
    task = a_flow(app, notes).task()
    for _ in range(2):
        await client.enqueue(task, task_id="7")
        await run(app)
    assert notes.lines == ["fetch 1", "show 2"]
    assert len(await inspector.flows("default", "ended")) == 1


async def test_a_flow_is_kept_as_long_as_its_task_may_run_again(app: App, notes: Notes) -> None:
    fetch, _ = declare(app, notes)
    short = timedelta(seconds=1)
    flow = app.flow("import", keep=short, keep_failed=short)
    flow.add(fetch.task(1))
    travelled = flow_in(flow.task().payload or b"", "7")
    assert (travelled.draft.keep_s, travelled.draft.keep_failed_s) == (3600, 3600)


async def test_each_task_of_a_flow_is_a_flow_of_its_own(
    app: App, notes: Notes, client: Client
) -> None:
    task = a_flow(app, notes).task()
    await client.enqueue_many([task, task])
    await run(app)
    assert sorted(notes.lines) == ["fetch 1", "fetch 1", "show 2", "show 2"]


async def test_all_that_a_flow_is_travels_in_its_task(
    app: App, notes: Notes, client: Client, inspector: Inspector
) -> None:
    fetch, show = declare(app, notes)
    flow = app.flow("all", queue="low", timeout=timedelta(hours=1), keep_failed=timedelta(hours=3))
    first = flow.add(fetch.task(1), name="first")
    gate = flow.gate("approval", after=first, timeout=timedelta(minutes=1), returns=int)
    many = flow.map([fetch.task(2), fetch.task(3)], after=gate)
    flow.add(show.task(gate.result), after=many)
    plain = Task("plain", b"\xff", max_retry=3, headers={"a": "b"}, process_in=timedelta(seconds=5))
    flow.add(plain, after=first, when="failed")
    travelled = flow_in(flow.task().payload or b"", "7")
    own = [vars_of(draft) for draft in flow.draft.steps]
    assert [vars_of(draft) for draft in travelled.draft.steps] == own
    assert (travelled.id, travelled.queue, travelled.draft.timeout_s) == ("7", "low", 3600)
    assert (travelled.draft.keep_s, travelled.draft.keep_failed_s) == (
        flow.draft.keep_s,
        flow.draft.keep_failed_s,
    )


def vars_of(draft: object) -> list[object]:
    """Return the values of a draft; tasks as what makes them equal."""
    return [_plain(getattr(draft, name)) for name in getattr(draft, "__slots__", ())]


def _plain(value: object) -> object:
    if isinstance(value, Task):
        headers = {**value.headers, **value.options.headers}
        options = value.options.merge(headers=headers)
        return value.type, value.payload, options, sorted(getattr(value, "inputs", {}))
    return [_plain(it) for it in value] if isinstance(value, list) else value


async def test_the_generator_of_a_map_is_read_into_one_task_alone(app: App, notes: Notes) -> None:
    fetch, _ = declare(app, notes)
    flow = app.flow("import")
    flow.map(fetch.task(number) for number in range(3))
    template = decode_template(flow.task().payload or b"")
    assert [len(step.members or ()) for step in template.steps] == [3]
    with pytest.raises(OptionError, match="the generator was read by an earlier call"):
        flow.task()
    with pytest.raises(OptionError, match="the generator was read by an earlier call"):
        await flow.enqueue()


async def test_the_list_of_a_map_is_read_as_often_as_one_likes(app: App, notes: Notes) -> None:
    fetch, _ = declare(app, notes)
    flow = app.flow("import")
    many = flow.map([fetch.task(1), fetch.task(2)])
    await flow.enqueue()
    assert flow.task().payload == flow.task().payload
    assert flow.type_of(many) == "fetch"


async def test_a_handler_opens_a_flow_together_with_its_success(app: App, notes: Notes) -> None:
    flow = a_flow(app, notes)

    @app.task("start")
    async def start(task: ActiveTask) -> None:
        task.then(flow.task())

    await start.enqueue()
    await run(app)
    assert notes.lines == ["fetch 1", "show 2"]


async def test_a_step_opens_another_flow(app: App, notes: Notes, inspector: Inspector) -> None:
    outer = app.flow("outer")
    outer.add(a_flow(app, notes).task(), name="inner")
    info = await outer.enqueue()
    await run(app)
    assert (await inspector.flow("default", f"{info.id}:inner")).state == "succeeded"
    assert notes.lines == ["fetch 1", "show 2"]


async def test_a_sealed_flow_is_opened(redis_url: str, notes: Notes) -> None:
    async with App(redis_url, burst=True, codecs=[Zlib()]) as app:
        flow = a_flow(app, notes)

        @app.task("start")
        async def start(task: ActiveTask) -> None:
            task.then(flow.task())

        await start.enqueue()
        await run(app)
    assert notes.lines == ["fetch 1", "show 2"]


async def test_client_middleware_of_the_worker_is_called_for_the_steps(
    app: App, notes: Notes, client: Client
) -> None:
    flow = a_flow(app, notes)

    @app.use_client
    async def stamp(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        notes.lines.append(f"enqueue {task.type}")
        return await call_next(task, options)

    await client.enqueue(flow.task())
    await run(app)
    assert notes.lines == ["enqueue fetch", "enqueue show", "fetch 1", "show 2"]


async def test_what_is_no_flow_is_refused(app: App, client: Client, inspector: Inspector) -> None:
    with pytest.raises(OptionError):
        app.flow("empty").task()
    with pytest.raises(PayloadError):
        flow_in(b"{}", "7")


# -- schedulers and outboxes -----------------------------------------------------------------------


@pytest.fixture
def clock() -> SteeredClock:
    """Return a clock that begins a few minutes ago: by the clock of Redis no tick is in future."""
    return SteeredClock(datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30))


@pytest.fixture(params=KINDS)
async def broker(
    request: pytest.FixtureRequest, redis_server: RedisServer, clock: SteeredClock
) -> AsyncIterator[Broker]:
    async with broker_of(request.param, redis_server, clock) as broker:
        yield broker


async def test_a_flow_is_opened_once_at_each_tick_however_many_schedulers_run(
    broker: Broker, clock: SteeredClock, notes: Notes
) -> None:
    app = App(broker, burst=True)
    schedulers = [Scheduler(broker, clock=clock) for _ in range(3)]
    entries = {one.register("* * * * *", a_flow(App(broker), notes).task()) for one in schedulers}
    assert len(entries) == 1
    declare(app, notes)
    for _ in range(3):
        for scheduler in schedulers:
            await scheduler.tick()
        clock.advance(minutes=1)
    async with app:
        await run(app)
    assert sorted(notes.lines) == ["fetch 1", "fetch 1", "show 2", "show 2"]


async def test_a_flow_in_an_outbox_is_opened_once_after_the_commit(
    broker: Broker, notes: Notes, tmp_path: Path
) -> None:
    app, outbox = App(broker, burst=True), Outbox()
    flow = a_flow(app, notes)
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/test.db")
    async with engine.begin() as connection:
        await connection.run_sync(outbox.table.metadata.create_all)
    async with AsyncSession(engine) as session:
        await outbox.enqueue(session, flow.task())
        await session.commit()
        await outbox.enqueue(session, flow.task())
        await session.rollback()
    async with Client(broker) as client, app:
        relay = Relay(outbox, engine, client)
        await relay.step()
        await relay.step()
        await run(app)
    await engine.dispose()
    assert notes.lines == ["fetch 1", "show 2"]


async def test_a_flow_is_not_opened_while_another_of_its_name_runs(
    app: App, notes: Notes, client: Client, inspector: Inspector
) -> None:
    fetch, _ = declare(app, notes)
    flow = app.flow("import", unique_for=timedelta(hours=1))
    flow.gate("approval", after=flow.add(fetch.task(1)))
    await client.enqueue_many([flow.task(), flow.task()])
    await run(app)
    assert notes.lines == ["fetch 1"]
    other = app.flow("import", unique_for=timedelta(hours=1))
    other.map([fetch.task(2)])
    with pytest.raises(DuplicateFlowError, match="has this name, and runs"):
        await other.enqueue()
    assert (await inspector.queue_info("default")).archived == 0
    assert await inspector.batches("default") == []
    (running,) = await inspector.flows("default")
    await client.signal(running, "approval")
    await client.enqueue(flow.task())
    await run(app)
    assert notes.lines == ["fetch 1", "fetch 1"]
