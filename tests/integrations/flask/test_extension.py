"""Tasks run in the context of their Flask application."""

import threading
from datetime import timedelta

import pytest
from flask import Flask, current_app, g, has_app_context

from pyasynq import App, PyasynqError, Task
from pyasynq.integrations.flask import Pyasynq
from pyasynq.testing import SyncTasks, Tasks


@pytest.fixture
def app() -> App:
    """Return an app."""
    return App("redis://127.0.0.1:1")


@pytest.fixture
def flask() -> Flask:
    """Return an application of Flask."""
    return Flask("shop")


async def test_a_plain_task_has_the_application_in_its_thread(app: App, flask: Flask) -> None:
    @app.task("name")
    def name() -> tuple[str, bool]:
        return current_app.name, threading.current_thread() is threading.main_thread()

    Pyasynq(app, flask)
    async with Tasks(app) as tasks:
        assert await tasks.perform(name) == ("shop", False)
    assert not has_app_context()


async def test_an_async_task_has_the_application(app: App, flask: Flask) -> None:
    @app.task("name")
    async def name() -> str:
        return current_app.name

    Pyasynq(app, flask)
    async with Tasks(app) as tasks:
        assert await tasks.perform(name) == "shop"


async def test_a_context_is_closed_in_the_thread_of_its_task(app: App, flask: Flask) -> None:
    threads: list[int] = []

    @flask.teardown_appcontext
    def close(error: BaseException | None) -> None:
        threads.append(threading.get_ident())

    @app.task("plain")
    def plain() -> None:
        threads.append(threading.get_ident())

    Pyasynq(app, flask)
    async with Tasks(app) as tasks:
        await tasks.perform(plain)
    assert len(threads) == 2
    assert len(set(threads)) == 1


def compute() -> bool:
    """Return whether there is a context; processes find this function in its module."""
    return has_app_context()


async def test_a_task_in_a_process_has_no_context_in_a_test_either(app: App, flask: Flask) -> None:
    task = app.task("compute", executor="process")(compute)
    Pyasynq(app, flask)
    async with Tasks(app) as tasks:
        assert await tasks.perform(task) is False


async def test_tasks_that_run_together_share_no_context(app: App, flask: Flask) -> None:
    barrier = threading.Barrier(2)
    seen: list[list[str]] = []

    @app.task("plain", retention=timedelta(minutes=1))
    def plain(name: str) -> None:
        setattr(g, name, True)
        barrier.wait(60)
        seen.append(list(g))

    Pyasynq(app, flask)
    async with Tasks(app) as tasks, tasks.worker(concurrency=2):
        infos = [await plain.enqueue("a"), await plain.enqueue("b")]
        for info in infos:
            await app.client.result(info)
    assert sorted(seen) == [["a"], ["b"]]


async def test_the_context_learns_of_the_error_of_its_task(app: App, flask: Flask) -> None:
    errors: list[BaseException | None] = []

    @flask.teardown_appcontext
    def close(error: BaseException | None) -> None:
        errors.append(error)

    @app.task("plain")
    def plain() -> None:
        raise ValueError("plain")

    @app.task("async")
    async def in_loop() -> None:
        raise ValueError("async")

    Pyasynq(app, flask)
    async with Tasks(app) as tasks:
        with pytest.raises(ValueError, match="plain"):
            await tasks.perform(plain)
        with pytest.raises(ValueError, match="async"):
            await tasks.perform(in_loop)
    assert [str(error) for error in errors] == ["plain", "async"]


def test_a_factory_may_make_the_application_later(app: App) -> None:
    @app.task("name")
    def name() -> str:
        return current_app.name

    extension = Pyasynq(app)

    def create_app(name: str) -> Flask:
        flask = Flask(name)
        extension.init_app(flask)
        return flask

    with SyncTasks(app) as tasks:
        with pytest.raises(PyasynqError, match="make it where the worker imports its app"):
            tasks.perform(name)
        assert create_app("one").extensions["pyasynq"].app is app
        assert tasks.perform(name) == "one"
        create_app("two")
        assert tasks.perform(name) == "two"


def test_a_task_that_is_called_in_a_request_sees_that_request(app: App, flask: Flask) -> None:
    @app.task("name")
    def name() -> str:
        return str(g.user)

    Pyasynq(app, flask)
    with flask.test_request_context():
        g.user = "ann"
        assert name() == "ann"


def test_a_handler_of_the_mux_has_the_application(app: App, flask: Flask) -> None:
    names: list[str] = []

    @app.mux.handle("plain")
    def plain(task: object) -> None:
        names.append(current_app.name)

    Pyasynq(app, flask)
    with SyncTasks(app) as tasks:
        tasks.perform(Task("plain"))
    assert names == ["shop"]
