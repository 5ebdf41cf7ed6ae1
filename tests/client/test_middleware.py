"""Client middleware is called once around each task that is enqueued, and may change it."""

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from pyasynq import (
    CallNext,
    Client,
    ClientMiddleware,
    DuplicateTaskError,
    MiddlewareError,
    OptionError,
    Options,
    PyasynqError,
    SyncClient,
    Task,
    TaskInfo,
    ThreadError,
)
from pyasynq.client.client import CHUNK
from pyasynq.client.middleware import MiddlewareChain, run_without_waiting
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

Make = Callable[..., Client]


@pytest.fixture
async def make(redis_url: str) -> AsyncIterator[Make]:
    """Yield a function that makes clients with some middleware."""
    made: list[Client] = []

    def client(*middleware: ClientMiddleware) -> Client:
        made.append(Client(redis_url, middleware=middleware))
        return made[-1]

    yield client
    for one in made:
        await one.aclose()


@pytest.fixture
def queue(r: Redis) -> QueueView:
    return RedisQueue(r)


class Noting:
    """Record the calls of a middleware and their ends."""

    def __init__(self, name: str = "", seen: list[str] | None = None) -> None:
        self.name = name
        self.seen: list[str] = [] if seen is None else seen
        self.answers: list[object] = []

    async def __call__(self, task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        self.seen.append(f"{self.name}{task.type}")
        try:
            self.answers.append(await call_next(task, options))
        except PyasynqError as error:
            self.answers.append(error)
            raise
        assert isinstance(self.answers[-1], TaskInfo)
        return self.answers[-1]


async def passing(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    return await call_next(task, options)


async def refusing(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    if task.type == "bad":
        msg = "not today"
        raise ValueError(msg)
    return await call_next(task, options)


async def forgetful(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    return call_next(task, options)  # type: ignore[return-value]


async def silent(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    await call_next(task, options)
    return None  # type: ignore[return-value]


async def lazy(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    return None  # type: ignore[return-value]


async def twice(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    await call_next(task, options)
    return await call_next(task, options)


async def trying_again(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    try:
        return await call_next(task, options)
    except DuplicateTaskError:
        return await call_next(task, options.merge(queue="other"))


def plain(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    return None  # type: ignore[return-value]


# -- one task --------------------------------------------------------------------------------------


async def test_the_first_is_outermost_and_each_is_called_once(make: Make) -> None:
    seen: list[str] = []
    await make(Noting("a:", seen), Noting("b:", seen)).enqueue(Task("t"))
    assert seen == ["a:t", "b:t"]


async def test_a_middleware_sees_the_answer_that_the_caller_gets(make: Make) -> None:
    noting = Noting()
    info = await make(noting).enqueue(Task("t"))
    assert noting.answers == [info]


async def test_a_middleware_sees_the_error_that_the_caller_gets(make: Make) -> None:
    noting = Noting()
    client = make(noting)
    await client.enqueue(Task("t", task_id="1"))
    with pytest.raises(PyasynqError) as e:
        await client.enqueue(Task("t", task_id="1"))
    assert noting.answers[1] is e.value


async def test_a_middleware_gets_the_merged_options_of_task_and_call(make: Make) -> None:
    got: list[Options] = []

    async def look(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        got.append(options)
        return await call_next(task, options)

    task = Task("t", queue="low", max_retry=3, headers={"own": "1"})
    await make(look).enqueue(task, queue="high", headers={"call": "2"})
    assert got == [Options(queue="high", max_retry=3, headers={"call": "2"})]


async def test_a_middleware_may_change_task_and_options(make: Make, queue: QueueView) -> None:
    async def change(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        changed = options.merge(headers={"trace": "4bf9"}, max_retry=0)
        return await call_next(Task("other", b"new", headers=task.headers), changed)

    info = await make(change).enqueue(
        Task("t", b"old", headers={"own": "1"}), headers={"call": "2"}
    )
    message = await queue.message(info.id)
    assert (message.type, message.payload, message.retry) == ("other", b"new", 0)
    assert dict(message.headers) == {"own": "1", "call": "2", "trace": "4bf9"}
    assert (info.type, info.payload, info.headers) == ("other", b"new", dict(message.headers))


async def test_an_option_that_it_takes_away_is_not_given(make: Make, queue: QueueView) -> None:
    async def take(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        return await call_next(task, msgspec.structs.replace(options, max_retry=None))

    info = await make(take).enqueue(Task("t", max_retry=3))
    assert info.max_retry == 25


async def test_a_middleware_may_choose_the_queue(make: Make, r: Redis) -> None:
    async def route(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        return await call_next(task, options.merge(queue="bulk"))

    info = await make(route).enqueue(Task("t"))
    assert info.queue == "bulk"
    assert await RedisQueue(r, "bulk").pending_ids() == [info.id]


@pytest.mark.parametrize(
    "wrong", [Options(queue="a{b}"), Options(max_retry=-1), {"queue": "low"}, None]
)
async def test_options_that_cannot_work_are_refused(make: Make, wrong: Any) -> None:  # noqa: ANN401
    async def give(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        return await call_next(task, wrong)

    with pytest.raises(OptionError):
        await make(give).enqueue(Task("t"))


async def test_a_middleware_cannot_pass_on_something_else_than_a_task(make: Make) -> None:
    async def give(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        return await call_next("t", options)  # type: ignore[arg-type]

    with pytest.raises(OptionError, match="task must be a Task"):
        await make(give).enqueue(Task("t"))


async def test_a_middleware_refuses_a_task_by_raising(make: Make, queue: QueueView) -> None:
    with pytest.raises(ValueError, match="not today"):
        await make(refusing).enqueue(Task("bad"))
    assert await queue.pending_ids() == []


async def test_a_plain_function_that_hands_on_is_enough(make: Make) -> None:
    info = await make(lambda task, options, call_next: call_next(task, options)).enqueue(Task("t"))
    assert info.type == "t"


# -- rules -----------------------------------------------------------------------------------------


async def test_a_call_next_that_is_not_awaited_is_an_error(make: Make, queue: QueueView) -> None:
    with pytest.raises(MiddlewareError, match="forgetful calls call_next without awaiting it"):
        await make(passing, forgetful).enqueue(Task("t"))
    assert await queue.pending_ids() == []


@pytest.mark.parametrize("middleware", [lazy, plain])
async def test_a_middleware_that_does_nothing_is_an_error(
    make: Make, middleware: ClientMiddleware
) -> None:
    with pytest.raises(
        MiddlewareError, match=r"(lazy|plain) must return what .* returns, or raise$"
    ):
        await make(middleware).enqueue(Task("t"))


async def test_a_middleware_that_returns_something_else_is_an_error(
    make: Make, queue: QueueView
) -> None:
    with pytest.raises(MiddlewareError, match=r"silent must return .*; the task was passed on"):
        await make(silent).enqueue(Task("t"))
    assert len(await queue.pending_ids()) == 1


async def test_call_next_is_called_once(make: Make, queue: QueueView) -> None:
    with pytest.raises(MiddlewareError, match="twice must call call_next once"):
        await make(twice).enqueue(Task("t"))
    assert len(await queue.pending_ids()) == 1


async def test_call_next_is_called_once_though_it_failed(make: Make) -> None:
    client, task = make(trying_again), Task("t", unique=timedelta(hours=1))
    await client.enqueue(task)
    with pytest.raises(MiddlewareError, match="must call call_next once"):
        await client.enqueue(task)


@pytest.mark.parametrize("wrong", ["mw", None, 1])
def test_middleware_must_be_a_list(redis_url: str, wrong: Any) -> None:  # noqa: ANN401
    with pytest.raises((TypeError, OptionError), match="middleware"):
        Client(redis_url, middleware=wrong)


def test_a_function_that_cannot_be_called_as_middleware_is_refused(redis_url: str) -> None:
    async def takes_two(task: Task, call_next: CallNext) -> TaskInfo:
        raise NotImplementedError

    with pytest.raises(
        TypeError, match=r"a client middleware is called with \(task, options, call"
    ):
        Client(redis_url, middleware=[takes_two])  # type: ignore[list-item]


# -- many tasks ------------------------------------------------------------------------------------


async def test_many_tasks_keep_their_order_and_are_answered_each(
    make: Make, queue: QueueView
) -> None:
    client = make(Noting(), refusing)
    tasks = [Task("bad" if n % 3 == 1 else "t", b"%d" % n) for n in range(CHUNK + 10)]
    answers = await client.enqueue_many(tasks)
    refused = [n for n, answer in enumerate(answers) if isinstance(answer, MiddlewareError)]
    assert refused == [n for n, task in enumerate(tasks) if task.type == "bad"]
    ids = [answer.id for answer in answers if isinstance(answer, TaskInfo)]
    assert await queue.pending_ids() == ids


async def test_a_refusal_that_is_not_of_pyasynq_becomes_one_of_pyasynq(make: Make) -> None:
    [error] = await make(refusing).enqueue_many([Task("bad")])
    assert str(error) == "client middleware: ValueError: not today"
    assert isinstance(error, MiddlewareError)
    assert isinstance(error.__cause__, ValueError)


async def test_errors_of_pyasynq_are_answered_as_they_are(make: Make) -> None:
    _, conflict, large, forgotten = [
        *await make(passing).enqueue_many(
            [Task("t", task_id="1"), Task("t", task_id="1"), Task("t", bytes(2**21))]
        ),
        *await make(forgetful).enqueue_many([Task("t")]),
    ]
    kinds = [type(answer).__name__ for answer in (conflict, large, forgotten)]
    assert kinds == ["TaskIDConflictError", "OptionError", "MiddlewareError"]


async def test_many_tasks_travel_together(make: Make, r: Redis, redis_server: RedisServer) -> None:
    passed = Counter[str]()

    async def count(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        passed[task.type] += 1
        return await call_next(task, options)

    client = make(count)
    await client.enqueue(Task("t"))
    await r.config_resetstat()
    redis_server.pause()
    enqueueing = asyncio.create_task(client.enqueue_many([Task("t")] * 200))
    await wait_until(lambda: passed["t"] == 201)
    redis_server.resume()
    await enqueueing
    statistics: Any = await r.info("commandstats")
    assert statistics["cmdstat_evalsha"]["calls"] == 3  # the first task, and 128 and 71 that waited


async def test_their_order_stays_though_a_middleware_waits(make: Make, queue: QueueView) -> None:
    async def waits(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        for _ in range(0 if task.type == "quick" else 20):
            await asyncio.sleep(0)
        return await call_next(task, options)

    answers = await make(waits).enqueue_many([Task("slow"), Task("quick")] * 3)
    ids = [answer.id for answer in answers if isinstance(answer, TaskInfo)]
    assert await queue.pending_ids() == ids


async def test_a_middleware_that_lets_few_through_at_a_time_does_not_hang(make: Make) -> None:
    few = asyncio.Semaphore(2)

    async def guarded(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        async with few:
            return await call_next(task, options)

    assert len(await make(guarded).enqueue_many([Task("t")] * 10)) == 10


async def test_a_caller_that_gives_up_stops_the_middleware(make: Make) -> None:
    begun, ended = asyncio.Event(), list[str]()

    async def hangs(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(task.type)
        return await call_next(task, options)

    job = asyncio.create_task(make(hangs).enqueue_many([Task("t")] * 3))
    await begun.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert ended == ["t"]


# -- other clients ---------------------------------------------------------------------------------

user: ContextVar[str] = ContextVar("user", default="nobody")


async def signing(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
    return await call_next(task, options.merge(headers={"user": user.get()}))


def test_a_sync_client_has_middleware_that_sees_the_callers_context(redis_url: str) -> None:
    user.set("bob")
    with SyncClient(redis_url, middleware=[signing]) as client:
        assert client.enqueue(Task("t")).headers == {"user": "bob"}
        [info] = client.enqueue_many([Task("t")])
    assert isinstance(info, TaskInfo)
    assert info.headers == {"user": "bob"}


async def test_a_call_from_another_loop_passes_it_once(make: Make) -> None:
    noting = Noting()
    async with make(noting) as client:
        await asyncio.to_thread(functools.partial(asyncio.run, _enqueue(client)))
    assert noting.seen == ["t"]


async def _enqueue(client: Client) -> None:
    await client.enqueue(Task("t"))


# -- chains ----------------------------------------------------------------------------------------


def test_a_chain_made_of_a_chain_is_the_same_chain() -> None:
    chain = MiddlewareChain.of([passing])
    assert MiddlewareChain.of(chain) is chain


async def _waits_for_ever() -> None:
    try:
        await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0)


@pytest.mark.parametrize("waits", [_waits_for_ever, functools.partial(asyncio.sleep, 1)])
def test_work_that_waits_is_refused(waits: Any) -> None:  # noqa: ANN401
    with pytest.raises(MiddlewareError, match="it must not wait for anything here: call that"):
        run_without_waiting(waits(), "call that")


def test_an_error_of_the_work_is_raised_unchanged() -> None:
    async def fails() -> None:
        msg = "broken"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="broken"):
        run_without_waiting(fails(), "")


async def test_headers_of_options_cannot_be_changed_in_place(redis_url: str) -> None:
    async def careless(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        options.headers["tenant"] = "alice"  # type: ignore[index]
        return await call_next(task, options)

    async with Client(redis_url, middleware=[careless]) as one, Client(redis_url) as other:
        with pytest.raises(TypeError, match="does not support item assignment"):
            await one.enqueue(Task("secret"))
        assert (await other.enqueue(Task("public"))).headers == {}


async def test_a_cancellation_in_a_middleware_fails_only_its_own_task(make: Make) -> None:
    async def ending(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        if task.type == "bad":
            raise asyncio.CancelledError
        return await call_next(task, options)

    answers = await make(ending).enqueue_many([Task("good"), Task("bad"), Task("good")])
    kinds = [type(answer).__name__ for answer in answers]
    assert kinds == ["TaskInfo", "MiddlewareError", "TaskInfo"]


def test_a_sync_client_does_not_wait_for_itself(redis_url: str) -> None:
    def audited(task: Task, options: Options, call_next: CallNext) -> Awaitable[TaskInfo]:
        if task.type != "audit":
            client.enqueue(Task("audit"))
        return call_next(task, options)

    with SyncClient(redis_url, middleware=[audited]) as client:
        with pytest.raises(ThreadError, match="cannot wait for itself"):
            client.enqueue(Task("t"))
        assert client.enqueue(Task("audit")).type == "audit"
