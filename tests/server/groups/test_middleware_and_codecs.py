"""The combined task of a group passes client middleware and codecs."""

from datetime import timedelta
from typing import Unpack

import pytest
from redis.asyncio import Redis

from pyasynq import (
    ActiveTask,
    App,
    CallNext,
    Client,
    ClientMiddleware,
    NotEnqueuedError,
    Options,
    PyasynqError,
    Server,
    Task,
    TaskInfo,
)
from pyasynq.core.codec import HEADER
from pyasynq.server import ServerOptions
from tests.server.aggregators import Joiner
from tests.server.groups.test_aggregator import add, aggregator_of, set_keys
from tests.server.handlers import Handler
from tests.support.codecs import Envelope, Zlib
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)
AT_SIZE_TWO: ServerOptions = {"group_grace_period": HOUR, "group_max_size": 2}


def make_server(
    url: str,
    *middleware: ClientMiddleware,
    aggregate: Joiner | None = None,
    **options: Unpack[ServerOptions],
) -> Server:
    """Return a server that combines groups of two, through *middleware*."""
    merged: ServerOptions = {
        **AT_SIZE_TWO,
        **options,
        "group_aggregator": aggregate or Joiner(),
        "client_middleware": middleware,
    }
    return Server(url, **merged)


class RecordingMiddleware:
    """Client middleware that records tasks, changes them, and raises what the test gave."""

    def __init__(self, before: BaseException | None = None, after: Exception | None = None) -> None:
        self.passed: list[tuple[str, str | None]] = []
        self.infos: list[TaskInfo] = []
        self.errors: list[PyasynqError] = []
        self.before = before
        self.after = after

    async def __call__(self, task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        self.passed.append((task.type, options.queue))
        if self.before is not None:
            raise self.before
        try:
            info = await call_next(task, options.merge(headers={"k": "v"}, queue="elsewhere"))
        except PyasynqError as error:
            self.errors.append(error)
            raise
        self.infos.append(info)
        if self.after is not None:
            raise self.after
        return info


async def test_the_combined_task_passes_once_and_stays_in_its_queue(
    client: Client, redis_url: str
) -> None:
    middleware, handler = RecordingMiddleware(), Handler()
    async with make_server(redis_url, middleware).running(handler):
        await add(client, b"a", b"b")
        [task] = await handler.wait_for_tasks()
    assert middleware.passed == [("joined", "default")]
    assert (task.headers, task.queue) == ({"k": "v"}, "default")
    assert [(info.id, info.queue) for info in middleware.infos] == [(task.id, "default")]


@pytest.mark.parametrize("error", [ValueError("not today"), SystemExit(1)])
async def test_a_middleware_that_refuses_leaves_the_group_for_later(
    client: Client,
    redis_url: str,
    r: Redis,
    queue: RedisQueue,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    async with make_server(redis_url, RecordingMiddleware(before=error)).running(
        Handler()
    ) as server:
        await add(client, b"a", b"b")
        await aggregator_of(server).groups_done.next()
        assert len(await set_keys(r, queue)) == 1
    assert "group 'g' in 'default' could not be combined" in caplog.text
    assert await queue.pending_ids() == []


async def test_a_middleware_that_fails_too_late_changes_nothing(
    client: Client, redis_url: str, r: Redis, queue: RedisQueue, caplog: pytest.LogCaptureFixture
) -> None:
    handler, middleware = Handler(), RecordingMiddleware(after=ValueError("late"))
    async with make_server(redis_url, middleware).running(handler):
        await add(client, b"a", b"b")
        await wait_until(lambda: middleware.infos)
        await handler.wait_for_tasks()
        await wait_until(lambda: "client middleware failed after group 'g'" in caplog.text)
        assert await set_keys(r, queue) == []
    assert "could not be combined" not in caplog.text


async def test_the_middleware_gets_an_error_if_the_set_was_put_back_meanwhile(
    client: Client, redis_url: str, r: Redis, queue: RedisQueue, caplog: pytest.LogCaptureFixture
) -> None:
    middleware = RecordingMiddleware()

    async def too_late(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        for key in await set_keys(r, queue):
            await r.delete(key)
            await r.zrem(queue.key("aggregation_sets"), key)
        return await call_next(task, options)

    async with make_server(redis_url, middleware, too_late).running(Handler()) as server:
        ids = await add(client, b"a", b"b")
        await aggregator_of(server).groups_done.next()
    assert [type(error) for error in middleware.errors] == [NotEnqueuedError]
    assert "could not be combined" not in caplog.text
    for task_id in ids:
        await r.delete(queue.key(f"t:{task_id}"))


async def test_the_middleware_gets_a_refusal_of_redis(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t", task_id="taken", process_in=HOUR))
    aggregate, middleware = Joiner(answer=Task("joined", task_id="taken")), RecordingMiddleware()
    async with make_server(redis_url, middleware, aggregate=aggregate).running(Handler()) as server:
        await add(client, b"a", b"b")
        await aggregator_of(server).groups_done.next()
    assert [type(error).__name__ for error in middleware.errors] == ["TaskIDConflictError"]
    assert "could not be combined" in caplog.text


# -- codecs ----------------------------------------------------------------------------------------


async def test_an_aggregator_sees_what_was_sealed_and_its_task_is_sealed(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    aggregate, handler = Joiner(), Handler()
    codecs = [Zlib(), Envelope()]
    server = make_server(redis_url, aggregate=aggregate, codecs=codecs)
    async with Client(redis_url, codecs=codecs) as sealing, server.running(handler):
        await add(sealing, b"a")
        await add(client, b"b")
        [task] = await handler.wait_for_tasks()
        assert sorted(task.payload) == sorted(b"a,b")
        assert task._lease.message.headers[HEADER] == "zlib,envelope"
    [(_, payloads)] = aggregate.calls
    assert set(payloads) == {b"a", b"b"}


async def test_a_group_that_cannot_be_opened_waits_and_is_archived_in_the_end(
    client: Client, redis_url: str, r: Redis, queue: RedisQueue
) -> None:
    aggregate = Joiner()
    async with Client(redis_url, codecs=[Zlib()]) as sealing:
        [sealed] = await add(sealing, b"a")
    [plain] = await add(client, b"b")
    server = make_server(redis_url, aggregate=aggregate, group_max_failures=2)
    async with server.running(Handler()) as running:
        await aggregator_of(running).groups_done.next()
        assert await queue.ids("archived") == []
        assert (await queue.fields(sealed))["aggregation_failures"] == "1"
        [key] = await set_keys(r, queue)
        await r.zadd(queue.key("aggregation_sets"), {key: 1}, xx=True)
        await wait_until(lambda: queue.ids("archived"))
    assert await queue.ids("archived") == [sealed]
    assert "codec 'zlib' cannot open" in (await queue.message(sealed)).error_msg
    assert (aggregate.calls, await queue.state_of(plain)) == ([], "aggregating")


# -- app -------------------------------------------------------------------------------------------


async def test_an_app_gives_its_middleware_to_client_groups_and_ticks(redis_url: str) -> None:
    app, passed, ran = App(redis_url, **AT_SIZE_TWO), list[str](), list[str]()

    @app.use_client
    async def note(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        passed.append(task.type)
        return await call_next(task, options)

    @app.aggregator
    def join(group: str, tasks: list[Task]) -> Task:
        return Task("joined")

    @app.mux.handle("joined")
    async def run(task: ActiveTask) -> None:
        ran.append(task.type)

    @app.periodic("@every 1s")
    async def tick() -> None: ...

    async with app.server().running(), app.scheduler().running():
        await app.client.enqueue(Task("part", group="g"))
        await app.client.enqueue_many([Task("part", group="g")])
        await wait_until(lambda: "joined" in ran and "tick" in passed)
    assert passed.count("part") == 2
    assert passed.count("joined") == 1


async def test_middleware_that_comes_late_is_called_from_then_on(redis_url: str) -> None:
    app, middleware = App(redis_url), RecordingMiddleware()
    async with app:
        await app.client.enqueue(Task("early"))
        assert app.use_client(middleware) is middleware
        await app.client.enqueue(Task("late"))
    assert [type for type, _ in middleware.passed] == ["late"]


async def test_an_app_takes_middleware_as_an_option_too(redis_url: str) -> None:
    middleware = RecordingMiddleware()
    app = App(redis_url, client_middleware=[middleware])
    async with app:
        await app.client.enqueue(Task("t"))
    assert [type for type, _ in middleware.passed] == ["t"]


def test_middleware_with_wrong_parameters_is_refused(redis_url: str) -> None:
    def takes_one(task: Task) -> None: ...

    with pytest.raises(TypeError, match="a client middleware is called with"):
        App(redis_url).use_client(takes_one)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a client middleware is called with"):
        App(redis_url, client_middleware=[takes_one])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a client middleware is called with"):
        Server(redis_url, client_middleware=[takes_one])  # type: ignore[list-item]
