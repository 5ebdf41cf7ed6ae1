"""Uses of workers, clients and schedulers that a type checker must accept or refuse.

It is checked like typed_tasks.py.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, assert_type
from zoneinfo import ZoneInfo

from sqlalchemy import MetaData

import pyasynq
from pyasynq import (
    ActiveTask,
    App,
    CallNext,
    Client,
    ClientMiddleware,
    Codec,
    CodecContext,
    Inspector,
    Mux,
    Options,
    PeriodicTask,
    PeriodicTaskManager,
    Scheduler,
    Semaphore,
    Server,
    SyncClient,
    Task,
    TaskInfo,
    TaskState,
    current_task,
)
from pyasynq.outbox import Outbox

ADDRESS = "127.0.0.1:6379"

app = App(ADDRESS, queues={"critical": 6, "default": 1}, middleware=[])  # type: ignore[call-arg]


@app.use
async def timed(task: ActiveTask, call_next: Callable[[ActiveTask], Awaitable[object]]) -> None:
    await call_next(task)


@app.use_client
async def traced(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    assert_type(options.queue, str | None)
    assert_type(options.merge(headers={"trace": "1"}), Options)
    options.merge(queue=1)  # type: ignore[arg-type]
    options.merge(que="low")  # type: ignore[call-arg]
    options.queue = "low"  # type: ignore[misc]
    await call_next(task)  # type: ignore[call-arg]
    call_next(task, options)  # type: ignore[unused-coroutine]
    return await call_next(task, options)


class Reversed:
    name = "reversed"

    def seal(self, payload: bytes, context: CodecContext) -> bytes:
        assert_type(context.part, Literal["payload", "result"])
        return payload[::-1]

    def open(self, payload: bytes, context: CodecContext) -> bytes:
        return payload[::-1]


class Halved:
    name = "halved"

    def seal(self, payload: bytes, context: CodecContext) -> bytes:
        return payload[:1]


@app.aggregator
async def digest(group: str, tasks: list[Task]) -> Task:
    return Task(group, tasks[0].payload)


@app.lifespan
async def shared(app: App) -> AsyncIterator[dict[str, int]]:
    yield {"answer": 42}


async def handle(task: ActiveTask) -> None:
    assert_type(task.payload, bytes)
    assert_type(task.retried, int)
    assert_type(current_task(), ActiveTask)
    await task.write_result(b"done")


async def clients() -> None:
    async with Client(ADDRESS) as client:
        info = await client.enqueue(Task("mail", b"{}"), queue="low", unique=timedelta(minutes=1))
        assert_type(info, TaskInfo)
        assert_type(info.state, TaskState)
        assert_type(await client.result(info, timeout=timedelta(seconds=1)), bytes)
        await client.enqueue("mail")  # type: ignore[arg-type]
        await client.enqueue(Task("mail"), max_retry="3")  # type: ignore[arg-type]
        await client.enqueue(Task("mail"), maxretry=3)  # type: ignore[call-arg]
        await client.enqueue_many(Task("mail"))  # type: ignore[arg-type]
        await client.result(info, timeout=1)  # type: ignore[arg-type]
    with SyncClient(ADDRESS) as sync:
        assert_type(sync.enqueue(Task("mail")), TaskInfo)
        sync.enqueue(Task("mail"), process_in=5)  # type: ignore[arg-type]
        sync.result(7)  # type: ignore[arg-type]
    Task("mail", "text")  # type: ignore[arg-type]
    Task("mail", quue="low")  # type: ignore[call-arg]


async def workers() -> None:
    server = Server(ADDRESS, handler=handle, concurrency=10)
    await server.run()
    mux = Mux()
    mux.handle("mail:")(handle)
    Server(ADDRESS, concurency=10)  # type: ignore[call-arg]
    Server(ADDRESS, queues=["low"])  # type: ignore[arg-type]
    await server.run("mail")  # type: ignore[arg-type]

    async def takes_one(task: ActiveTask) -> None: ...

    async def takes_words(group: str, tasks: list[str]) -> Task:
        return Task(group)

    def gives_text(group: str, tasks: list[Task]) -> str:
        return group

    async def takes_nothing() -> AsyncIterator[None]:
        yield

    async def yields_text(app: App) -> AsyncIterator[str]:
        yield app.state["text"]

    app.use(takes_one)  # type: ignore[arg-type]
    mux.use(takes_one)  # type: ignore[arg-type]
    app.aggregator(takes_words)  # type: ignore[type-var]
    app.aggregator(gives_text)  # type: ignore[type-var]
    app.lifespan(takes_nothing)  # type: ignore[arg-type]
    app.lifespan(yields_text)  # type: ignore[arg-type]


def extensions(metadata: MetaData) -> None:
    async def takes_two(task: Task, options: Options) -> TaskInfo:
        raise NotImplementedError

    async def gives_text(task: Task, options: Options, call_next: CallNext) -> str:
        return task.type

    middleware: list[ClientMiddleware] = [traced]
    codecs: list[Codec] = [Reversed()]
    Client(ADDRESS, middleware=middleware, codecs=codecs)
    Client(ADDRESS, middleware=[traced], codecs=[Reversed()])
    SyncClient(ADDRESS, middleware=[traced], codecs=[Reversed()])
    App(ADDRESS, client_middleware=[traced], codecs=[Reversed()])
    Server(ADDRESS, client_middleware=[traced], codecs=[Reversed()])
    Scheduler(ADDRESS, client_middleware=[traced], codecs=[Reversed()])
    Inspector(ADDRESS, codecs=[Reversed()])
    Outbox(metadata, middleware=[traced], codecs=[Reversed()])
    app.use_client(takes_two)  # type: ignore[arg-type]
    Client(ADDRESS, middleware=[gives_text])  # type: ignore[list-item]
    Client(ADDRESS, middleware=[timed])  # type: ignore[list-item]
    Client(ADDRESS, codecs=[Halved()])  # type: ignore[list-item]
    Server(ADDRESS, codecs=Reversed())  # type: ignore[arg-type]
    Scheduler(ADDRESS, middleware=[traced])  # type: ignore[call-arg]
    Outbox(metadata, codec=[Reversed()])  # type: ignore[call-arg]


async def schedules() -> None:
    scheduler = Scheduler(ADDRESS, location=ZoneInfo("Asia/Taipei"))
    assert_type(scheduler.register("@daily", Task("clean"), queue="low"), str)
    scheduler.register("@daily", "clean")  # type: ignore[arg-type]
    scheduler.register("@daily", Task("clean"), quue="low")  # type: ignore[call-arg]

    def entries() -> list[PeriodicTask]:
        return [PeriodicTask(spec="@daily", task=Task("clean"))]

    def words() -> list[str]:
        return ["@daily"]

    await PeriodicTaskManager(ADDRESS, entries).run()
    PeriodicTaskManager(ADDRESS, words)  # type: ignore[arg-type]


def names() -> None:
    pyasynq.Clent(ADDRESS)  # type: ignore[attr-defined]


async def operators() -> None:
    async with Inspector(ADDRESS) as inspector:
        assert_type(await inspector.queues(), list[str])
        tasks = await inspector.list_tasks("default", TaskState.RETRY)
        assert_type(tasks, list[TaskInfo])
        await inspector.reschedule("default", tasks[0].id, datetime.now(UTC))
        await inspector.reschedule("default", tasks[0].id, timedelta(1))  # type: ignore[arg-type]
        await inspector.list_tasks("default", TaskState.RETRY, pag=2)  # type: ignore[call-arg]
        await inspector.run_task("default")  # type: ignore[call-arg]
    Semaphore(ADDRESS, "api", limit="3")  # type: ignore[arg-type]
