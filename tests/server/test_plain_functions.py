"""Plain functions share the server's threads, and a wait for one costs them nothing."""

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from pyasynq import ActiveTask, App, Client, Mux, Server, Task
from pyasynq.metrics import TaskMetrics
from pyasynq.server import AsyncHandler
from pyasynq.server.run.slots import Stop
from tests.server.handlers import Handler, actors_of, run_burst, wait_until_cancelled
from tests.support.clocks import ShiftedClock
from tests.support.queue_view import QueueView
from tests.support.waiting import wait_until

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


class Plain:
    """A plain handler whose runs wait for `end`.

    Attributes:
        began: Ids of the tasks that began, in order.
    """

    def __init__(self) -> None:
        self.began: list[str] = []
        self._end = threading.Semaphore(0)

    def __call__(self, task: ActiveTask) -> None:
        self.began.append(task.id)
        self._end.acquire(timeout=15)

    def end(self, count: int = 1) -> None:
        """Let *count* runs end."""
        self._end.release(count)


def block_until(condition: Callable[[], bool]) -> None:
    """Block the loop until *condition* is true."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.001)


@pytest.fixture
def plain() -> Iterator[Plain]:
    handler = Plain()
    yield handler
    handler.end(1000)


def running(server: Server) -> int:
    """Return the number of tasks that *server* has taken."""
    return len(actors_of(server).runner.runs)


async def test_one_plain_function_for_each_thread_runs_and_one_waits(
    client: Client, redis_url: str, plain: Plain, queue: QueueView
) -> None:
    await client.enqueue_many([Task("t") for _ in range(10)])
    async with Server(redis_url, threads=2).running(plain) as server:
        await wait_until(lambda: len(plain.began) == 2 and running(server) == 4)
        assert len(await queue.pending_ids()) == 6
        plain.end(1000)


async def test_all_slots_are_filled_if_some_handlers_are_async(
    client: Client, redis_url: str, plain: Plain
) -> None:
    mux, other = Mux(), Handler()
    mux.handle("plain")(plain)
    mux.handle("async")(other)
    await client.enqueue_many([*[Task("plain") for _ in range(5)], Task("async")])
    async with Server(redis_url, threads=1).running(mux) as server:
        await other.wait_for_tasks()
        assert running(server) == 5
        plain.end(1000)


async def test_an_async_function_behind_a_plain_decorator_is_not_counted_as_plain(
    redis_url: str, client: Client
) -> None:
    app, held = App(redis_url, threads=1), Handler(hold=True)

    def decorated(function: AsyncHandler) -> AsyncHandler:
        def wrapper(task: ActiveTask) -> object:
            return function(task)

        wrapper.__wrapped__ = function  # type: ignore[attr-defined]
        return wrapper  # type: ignore[return-value]

    async def wait(task: ActiveTask) -> None:
        await held(task)

    app.mux.handle("t")(decorated(wait))
    await client.enqueue_many([Task("t") for _ in range(5)])
    async with app.server().running():
        await held.wait_for_tasks(5)
        held.release()


async def test_a_server_of_typed_plain_functions_takes_two_tasks_for_each_thread(
    redis_url: str,
) -> None:
    app = App(redis_url, threads=3)

    @app.task("t")
    def work() -> None: ...

    async with app.server().running() as server:
        assert actors_of(server).runner.slots.free == 6


async def test_a_timeout_begins_when_a_thread_is_there(
    client: Client, redis_url: str, plain: Plain, queue: QueueView
) -> None:
    await client.enqueue(Task("t", task_id="first"))
    await client.enqueue(Task("t", task_id="second"), timeout=SECOND)
    async with Server(redis_url, threads=1).running(plain) as server:
        await wait_until(lambda: running(server) == 2)
        waited_from = time.monotonic()
        await wait_until(lambda: time.monotonic() - waited_from > 1.1)
        plain.end()
        await wait_until(lambda: len(plain.began) == 2)
        plain.end()
        await wait_until(lambda: not running(server))
    assert await queue.ids("retry") == []


async def test_a_plain_function_that_ended_in_time_succeeds_although_the_loop_notices_late(
    client: Client, redis_url: str, plain: Plain, queue: QueueView
) -> None:
    clock = ShiftedClock()
    await client.enqueue(Task("t", task_id="quick"), timeout=HOUR, retention=HOUR)
    async with Server(redis_url, clock=clock, lease=5 * HOUR).running(plain) as server:
        await wait_until(lambda: plain.began)
        [run] = actors_of(server).runner.runs
        plain.end()
        block_until(lambda: run.active.thread is None)
        clock.passed = 2 * HOUR
        actors_of(server).runner._deadlines._on_timer()
        assert run.stop is Stop.DEADLINE
        await wait_until(lambda: not running(server))
    assert await queue.ids("completed") == ["quick"]


async def test_a_deadline_passes_while_a_task_waits_for_a_thread(
    client: Client, redis_url: str, plain: Plain, queue: QueueView
) -> None:
    await client.enqueue(Task("t", task_id="first"))
    await client.enqueue(Task("t", task_id="second"), deadline=datetime.now(UTC) + 2 * SECOND)
    async with Server(redis_url, threads=1).running(plain):
        await wait_until(lambda: _has(queue, "second"))
        assert plain.began == ["first"]
        plain.end()


async def test_a_task_that_waits_for_a_thread_is_cancelled_at_once(
    client: Client, redis_url: str, plain: Plain, queue: QueueView
) -> None:
    await client.enqueue(Task("t", task_id="first"))
    await client.enqueue(Task("t", task_id="second"))
    async with Server(redis_url, threads=1).running(plain) as server:
        await wait_until(lambda: running(server) == 2)
        actors_of(server).runner.cancel("second")
        await wait_until(lambda: _has(queue, "second"))
        assert plain.began == ["first"]
        plain.end()


async def test_a_plain_function_that_is_canceled_stops_by_raising_a_cancellation(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    registry, mux, began = CollectorRegistry(), Mux(), threading.Event()
    mux.use(TaskMetrics(registry))

    @mux.handle("t")
    def handle(task: ActiveTask) -> None:
        began.set()
        wait_until_cancelled(task)
        raise asyncio.CancelledError

    await client.enqueue(Task("t"), task_id="id")
    async with Server(redis_url).running(mux) as server:
        await wait_until(began.is_set)
        actors_of(server).runner.cancel("id")
        await wait_until(lambda: _has(queue, "id"))
    [line] = [it for it in caplog.records if it.getMessage().startswith("task id")]
    assert (line.levelname, line.exc_info) == ("WARNING", None)
    assert (await queue.message("id")).error_msg == "context canceled"
    labels = {"queue": "default", "type": "t", "outcome": "stopped"}
    assert registry.get_sample_value("pyasynq_tasks_total", labels) == 1


async def test_an_error_of_a_cancelled_plain_function_is_logged_without_the_cancellation(
    client: Client, redis_url: str, queue: QueueView, caplog: pytest.LogCaptureFixture
) -> None:
    began = threading.Event()

    def handle(task: ActiveTask) -> None:
        began.set()
        wait_until_cancelled(task)
        raise ValueError("while it cleaned up")

    await client.enqueue(Task("t"), task_id="id")
    async with Server(redis_url).running(handle) as server:
        await wait_until(began.is_set)
        actors_of(server).runner.cancel("id")
        await wait_until(lambda: _has(queue, "id"))
    assert "while it cleaned up" in caplog.text
    assert "CancelledError" not in caplog.text


async def test_a_task_that_waits_for_a_thread_goes_back_when_the_server_stops(
    client: Client, redis_url: str, plain: Plain, queue: QueueView
) -> None:
    await client.enqueue_many([Task("t", task_id="first"), Task("t", task_id="second")])
    server = Server(redis_url, threads=1, shutdown_timeout=timedelta(0))
    async with server.running(plain):
        await wait_until(lambda: running(server) == 2)
        asyncio.get_running_loop().call_later(0.1, plain.end)
    assert "second" not in plain.began
    assert await queue.pending_ids() == ["second"]


async def test_a_thread_is_free_again_after_a_plain_function_has_failed(
    client: Client, redis_url: str
) -> None:
    ran: list[str] = []

    def fail(task: ActiveTask) -> None:
        ran.append(task.id)
        raise ValueError

    await client.enqueue_many([Task("t") for _ in range(5)])
    await run_burst(Server(redis_url, threads=1, burst=True), fail)
    assert len(ran) == 5


async def test_a_thread_that_the_system_refuses_costs_its_task_one_try_and_no_other(
    client: Client, redis_url: str, queue: QueueView, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    start = threading.Thread.start
    refusals = iter(range(2))

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("pyasynq-handler") and next(refusals, None) is not None:
            msg = "can't start new thread"
            raise RuntimeError(msg)
        start(thread)

    def handle(task: ActiveTask) -> None:
        ran.append(task.id)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    await client.enqueue_many([Task("t", task_id=f"{number}") for number in range(5)])
    await run_burst(Server(redis_url, threads=1, burst=True), handle)
    assert len(ran) == 3
    assert {*ran, *await queue.ids("retry")} == {"0", "1", "2", "3", "4"}


async def _has(queue: QueueView, task_id: str) -> bool:
    return await queue.ids("retry") == [task_id] or await queue.ids("archived") == [task_id]


class Opened:
    """A context of plain functions.

    Attributes:
        threads: Threads in which it is entered now.
        left_with: The error with which it was last left; None without one.
    """

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.left_with: BaseException | None = None

    @contextmanager
    def __call__(self) -> Generator[None]:
        self.threads.add(threading.get_ident())
        try:
            yield
        except BaseException as error:
            self.left_with = error
            raise
        finally:
            self.threads.discard(threading.get_ident())


async def test_a_plain_function_runs_within_the_context_in_its_thread(
    client: Client, redis_url: str
) -> None:
    opened, seen = Opened(), list[bool]()

    def handle(task: ActiveTask) -> None:
        seen.append(opened.threads == {threading.get_ident()})
        raise ValueError(task.id)

    info = await client.enqueue(Task("t", max_retry=0))
    await run_burst(Server(redis_url, burst=True, thread_context=opened), handle)
    assert seen == [True]
    assert opened.threads == set()
    assert str(opened.left_with) == info.id


async def test_a_context_that_cannot_be_entered_fails_the_task(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    def refuse() -> AbstractContextManager[None]:
        msg = "no connection"
        raise ConnectionError(msg)

    info = await client.enqueue(Task("t", max_retry=0))
    await run_burst(Server(redis_url, burst=True, thread_context=refuse), lambda _task: None)
    assert (await queue.message(info.id)).error_msg == "ConnectionError: no connection"
