"""What a group becomes passes client middleware, and codecs."""

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
from tests.server.aggregators import Joined
from tests.server.groups.test_aggregator import add, aggregator_of, staged
from tests.server.handlers import Handler
from tests.support.codecs import Envelope, Zlib
from tests.support.looking import QueueView, RedisQueue
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)
AT_SIZE_TWO: ServerOptions = {"group_grace_period": HOUR, "group_max_size": 2}


def a_server(
    url: str,
    *middleware: ClientMiddleware,
    aggregate: Joined | None = None,
    **options: Unpack[ServerOptions],
) -> Server:
    """Return a server that combines groups of two, through *middleware*."""
    merged: ServerOptions = {
        **AT_SIZE_TWO,
        **options,
        "group_aggregator": aggregate or Joined(),
        "client_middleware": middleware,
    }
    return Server(url, **merged)


class Noting:
    """Note what passes, change it, and fail as told."""

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


async def test_what_a_group_becomes_passes_once_and_stays_in_its_queue(
    client: Client, redis_url: str
) -> None:
    noting, handler = Noting(), Handler()
    async with a_server(redis_url, noting).running(handler):
        await add(client, b"a", b"b")
        [task] = await handler.began()
    assert noting.passed == [("joined", "default")]
    assert (task.headers, task.queue) == ({"k": "v"}, "default")
    assert [(info.id, info.queue) for info in noting.infos] == [(task.id, "default")]


@pytest.mark.parametrize("error", [ValueError("not today"), SystemExit(1)])
async def test_a_middleware_that_refuses_leaves_the_group_for_later(
    client: Client,
    redis_url: str,
    r: Redis,
    queue: RedisQueue,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    async with a_server(redis_url, Noting(before=error)).running(Handler()) as server:
        await add(client, b"a", b"b")
        await aggregator_of(server).combinings.next()
        assert len(await staged(r, queue)) == 1
    assert "group 'g' in 'default' could not be combined" in caplog.text
    assert await queue.line() == []


async def test_a_middleware_that_fails_too_late_changes_nothing(
    client: Client, redis_url: str, r: Redis, queue: RedisQueue, caplog: pytest.LogCaptureFixture
) -> None:
    handler, noting = Handler(), Noting(after=ValueError("late"))
    async with a_server(redis_url, noting).running(handler):
        await add(client, b"a", b"b")
        await wait_until(lambda: noting.infos)
        await handler.began()
        await wait_until(lambda: "client middleware failed once group 'g'" in caplog.text)
        assert await staged(r, queue) == []
    assert "could not be combined" not in caplog.text


async def test_a_set_that_was_put_back_meanwhile_is_told_to_the_middleware(
    client: Client, redis_url: str, r: Redis, queue: RedisQueue, caplog: pytest.LogCaptureFixture
) -> None:
    noting = Noting()

    async def too_late(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        for key in await staged(r, queue):
            await r.delete(key)
            await r.zrem(queue.key("aggregation_sets"), key)
        return await call_next(task, options)

    async with a_server(redis_url, noting, too_late).running(Handler()) as server:
        ids = await add(client, b"a", b"b")
        await aggregator_of(server).combinings.next()
    assert [type(error) for error in noting.errors] == [NotEnqueuedError]
    assert "could not be combined" not in caplog.text
    for task_id in ids:
        await r.delete(queue.key(f"t:{task_id}"))


async def test_a_refusal_of_redis_is_told_to_the_middleware(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t", task_id="taken", process_in=HOUR))
    aggregate, noting = Joined(answer=Task("joined", task_id="taken")), Noting()
    async with a_server(redis_url, noting, aggregate=aggregate).running(Handler()) as server:
        await add(client, b"a", b"b")
        await aggregator_of(server).combinings.next()
    assert [type(error).__name__ for error in noting.errors] == ["TaskIDConflictError"]
    assert "could not be combined" in caplog.text


# -- codecs ----------------------------------------------------------------------------------------


async def test_an_aggregator_sees_what_was_sealed_and_its_task_is_sealed(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    aggregate, handler = Joined(), Handler()
    codecs = [Zlib(), Envelope()]
    server = a_server(redis_url, aggregate=aggregate, codecs=codecs)
    async with Client(redis_url, codecs=codecs) as sealing, server.running(handler):
        await add(sealing, b"a")
        await add(client, b"b")
        [task] = await handler.began()
        assert sorted(task.payload) == sorted(b"a,b")
        assert task._lease.message.headers[HEADER] == "zlib,envelope"
    [(_, payloads)] = aggregate.calls
    assert set(payloads) == {b"a", b"b"}


async def test_a_group_that_cannot_be_opened_waits_and_is_given_up_in_the_end(
    client: Client, redis_url: str, r: Redis, queue: RedisQueue
) -> None:
    aggregate = Joined()
    async with Client(redis_url, codecs=[Zlib()]) as sealing:
        [sealed] = await add(sealing, b"a")
    [plain] = await add(client, b"b")
    server = a_server(redis_url, aggregate=aggregate, group_max_failures=2)
    async with server.running(Handler()) as running:
        await aggregator_of(running).combinings.next()
        assert await queue.ids("archived") == []
        assert (await queue.fields(sealed))["aggregation_failures"] == "1"
        [key] = await staged(r, queue)
        await r.zadd(queue.key("aggregation_sets"), {key: 1}, xx=True)
        await wait_until(lambda: queue.ids("archived"))
    assert await queue.ids("archived") == [sealed]
    assert "codec 'zlib' cannot open" in (await queue.message(sealed)).error_msg
    assert (aggregate.calls, await queue.where(plain)) == ([], "aggregating")


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
    app, noting = App(redis_url), Noting()
    async with app:
        await app.client.enqueue(Task("early"))
        assert app.use_client(noting) is noting
        await app.client.enqueue(Task("late"))
    assert [type for type, _ in noting.passed] == ["late"]


async def test_an_app_takes_middleware_as_an_option_too(redis_url: str) -> None:
    noting = Noting()
    app = App(redis_url, client_middleware=[noting])
    async with app:
        await app.client.enqueue(Task("t"))
    assert [type for type, _ in noting.passed] == ["t"]


def test_what_cannot_be_called_so_is_refused(redis_url: str) -> None:
    def takes_one(task: Task) -> None: ...

    with pytest.raises(TypeError, match="a client middleware is called with"):
        App(redis_url).use_client(takes_one)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a client middleware is called with"):
        App(redis_url, client_middleware=[takes_one])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a client middleware is called with"):
        Server(redis_url, client_middleware=[takes_one])  # type: ignore[list-item]
