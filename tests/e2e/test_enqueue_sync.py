"""Typed tasks are enqueued from threads, plain tasks, scripts, forks and greenlets."""

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from pyasynq import App, OptionError, PlainTask, PyasynqError, SyncInspector, Task, TaskInfo
from pyasynq.client import CallNext
from pyasynq.core.options import Options

PATIENCE_S = 30


@pytest.fixture(params=["redis", "sqlite"])
def url(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> str:
    """Return the address of an empty broker."""
    return redis_url if request.param == "redis" else f"sqlite:///{tmp_path}/tasks.db"


@pytest.fixture
def app(url: str) -> App:
    """Return an app that is not open; its servers end when their queues are empty."""
    return App(url, burst=True)


def nothing() -> None:
    """Do nothing."""


def count_pending(url: str) -> int:
    """Return the number of pending tasks."""
    with SyncInspector(url) as inspector:
        return inspector.queue_info("default").pending


def test_a_script_enqueues_without_opening_anything(app: App, url: str) -> None:
    task = app.task("t")(nothing)
    info = task.options(process_in=timedelta(hours=1)).enqueue_sync()
    assert (info.type, info.state) == ("t", "scheduled")
    app.sync_client.close()


def test_threads_share_the_apps_client(app: App, url: str) -> None:
    task = app.task("t")(nothing)
    with ThreadPoolExecutor(8) as threads:
        infos = list(threads.map(lambda _: task.enqueue_sync(), range(40)))
    assert len({info.id for info in infos}) == count_pending(url) == 40
    app.sync_client.close()


def test_a_closed_sync_client_is_replaced(app: App) -> None:
    first = app.sync_client
    assert app.sync_client is first
    first.close()
    assert app.sync_client is not first
    assert app.sync_client.enqueue(Task("t")).type == "t"
    app.sync_client.close()


async def test_a_plain_task_enqueues_with_its_workers_client(app: App) -> None:
    used: list[int] = []

    @app.use_client
    async def note(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        used.append(threading.get_ident())
        return await call_next(task, options)

    @app.task("inner")
    def inner() -> None:
        done.append("inner")

    @app.task("outer")
    def outer() -> None:
        inner.enqueue_sync()
        done.append("outer")

    done: list[str] = []
    async with app:
        await outer.enqueue()
        await app.server().run()
    assert sorted(done) == ["inner", "outer"]
    assert used == [threading.get_ident()] * 2  # the middleware ran in the loop of the worker


async def test_it_is_refused_where_it_would_block_the_event_loop(app: App) -> None:
    task = app.task("t")(nothing)
    async with app:
        with pytest.raises(PyasynqError, match=r"'t' would block the event loop .* await enqueue"):
            task.enqueue_sync()


async def test_it_is_refused_in_the_coroutine_of_a_task(app: App) -> None:
    task, errors = app.task("t")(nothing), list[PyasynqError]()

    @app.task("outer")
    async def outer() -> None:
        with pytest.raises(PyasynqError, match="would block") as caught:
            task.enqueue_sync()
        errors.append(caught.value)

    async with app:
        await outer.enqueue()
        await app.server().run()
    assert len(errors) == 1


async def test_a_loop_in_which_the_app_is_not_open_may_wait_for_it(app: App) -> None:
    assert app.task("t")(nothing).enqueue_sync().type == "t"  # as in a notebook
    app.sync_client.close()


def test_loops_in_threads_enqueue_each_with_its_own_client_or_with_that_of_another(
    app: App, url: str
) -> None:
    task = app.task("t")(nothing)
    started, stop = threading.Event(), threading.Event()

    def run(opens: bool) -> None:  # noqa: FBT001
        asyncio.run(enqueue_from_a_loop(app, task, opens=opens))

    def keep_open() -> None:
        asyncio.run(hold(app, started.set, stop))

    with ThreadPoolExecutor(9) as threads:
        holding = threads.submit(keep_open)
        started.wait(PATIENCE_S)
        jobs = [threads.submit(run, number % 2 == 0) for number in range(8)]
        assert [job.result(PATIENCE_S) for job in jobs] == [None] * 8
        stop.set()
        holding.result(PATIENCE_S)
    assert count_pending(url) == 8 * 5


async def enqueue_from_a_loop(app: App, task: PlainTask[[], None], *, opens: bool) -> None:
    """Enqueue five tasks, with a client of this loop if it *opens* one."""
    if opens:
        async with app:
            await asyncio.gather(*(task.enqueue() for _ in range(5)))
    else:
        await asyncio.gather(*(task.enqueue() for _ in range(5)))


async def hold(app: App, on_open: Callable[[], object], stop: threading.Event) -> None:
    """Keep *app* open until *stop*."""
    async with app:
        on_open()
        await asyncio.to_thread(stop.wait, PATIENCE_S)


def test_an_app_with_a_client_of_redis_py_is_refused_and_says_what_to_give() -> None:
    from redis.asyncio import Redis

    task = App(Redis()).task("t")(nothing)
    with pytest.raises(OptionError, match="an address: a redis-py client serves one loop only"):
        task.enqueue_sync()


FORKING = """
import asyncio, os, sys
from pyasynq import App

app = App(sys.argv[1])
task = app.task("t")(lambda: None)

def in_child():
    if (child := os.fork()) == 0:
        task.enqueue_sync()
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

async def while_open():
    async with app:
        await task.enqueue()
        return await asyncio.to_thread(in_child)

task.enqueue_sync()
print(in_child(), task.enqueue_sync().type, asyncio.run(while_open()))
"""

GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from pyasynq import App

task = App(sys.argv[1]).task("t")(lambda: None)
jobs = [gevent.spawn(task.enqueue_sync) for _ in range(20)]
gevent.joinall(jobs)
print(len({job.value.id for job in jobs}))
"""


@pytest.mark.parametrize(
    ("script", "lines", "count"),
    [(FORKING, ["7 t 7"], 5), (GEVENT, ["20"], 20)],
    ids=["fork", "gevent"],
)
async def test_it_works_in(script: str, lines: list[str], count: int, url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", script, url),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, output.decode().splitlines()) == (0, lines)
    assert await asyncio.to_thread(count_pending, url) == count
