"""Functions are declared as tasks, enqueued with their arguments, and run by workers."""

import asyncio
import functools
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from datetime import timedelta
from typing import Any, cast

import pytest

from pyasynq import (
    ActiveTask,
    App,
    CallNext,
    Client,
    Inspector,
    OptionError,
    Options,
    PayloadError,
    PyasynqError,
    Task,
    TaskInfo,
    TaskState,
    current_task,
)
from pyasynq.server import AsyncHandler
from tests.support.codecs import Zlib

HOUR = timedelta(hours=1)


class Model:
    """Stands for a pydantic model."""

    def model_dump(self, *, mode: str) -> dict[str, int]:
        assert mode == "json"
        return {"answer": 42}


async def run_until_empty(app: App) -> None:
    """Run the app's tasks until its queues are empty."""
    async with asyncio.timeout(60):
        await app.server().run()


# -- running ---------------------------------------------------------------------------------------


async def test_a_worker_runs_the_function_with_its_arguments(app: App) -> None:
    calls: list[object] = []

    @app.task("t")
    async def note(name: str, times: int = 1) -> None:
        calls.append((name, times))

    await note.enqueue("bob")
    await note.enqueue(name="eve", times=3)
    await run_until_empty(app)
    assert calls == [("bob", 1), ("eve", 3)]


async def test_a_plain_function_runs_in_a_thread(app: App) -> None:
    threads: list[threading.Thread] = []

    @app.task("t")
    def note() -> None:
        threads.append(threading.current_thread())

    await note.enqueue()
    await run_until_empty(app)
    assert threads[0] is not threading.main_thread()


async def test_a_plain_function_may_call_its_parameters_what_it_likes(app: App) -> None:
    calls: list[object] = []

    @app.task("t")
    def note(task: ActiveTask, function: str, args: int, kwargs: int, context: int) -> None:
        calls.append((task.type, function, args, kwargs, context))

    await note.enqueue(function="f", args=1, kwargs=2, context=3)
    await run_until_empty(app)
    assert calls == [("t", "f", 1, 2, 3)]


async def test_an_async_function_behind_a_plain_decorator_is_run(app: App) -> None:
    calls: list[str] = []

    async def note(name: str) -> None:
        calls.append(name)

    @functools.wraps(note)
    def wrapper(*args: str, **kwargs: str) -> object:
        return note(*args, **kwargs)

    await app.task("t")(wrapper).enqueue(name="bob")
    await run_until_empty(app)
    assert calls == ["bob"]


async def test_calling_the_task_runs_the_function_here() -> None:
    app = App("redis://127.0.0.1:6379")

    @app.task("t")
    async def add(a: int, b: int) -> int:
        return a + b

    assert await add(1, b=2) == 3


async def test_the_running_task_is_passed_where_it_is_asked_for(app: App) -> None:
    seen: list[object] = []

    @app.task("t")
    async def note(task: ActiveTask, name: str) -> None:
        seen.append((task.type, task.id, name))

    info = await note.enqueue("bob")
    await run_until_empty(app)
    assert seen == [("t", info.id, "bob")]


async def test_a_call_from_another_handler_gets_the_task_that_is_running(app: App) -> None:
    seen: list[bool] = []

    @app.task("inner")
    async def inner(task: ActiveTask) -> None:
        seen.append(task is current_task())

    @app.task("outer")
    async def outer() -> None:
        await inner()

    await outer.enqueue()
    await run_until_empty(app)
    assert seen == [True]


async def test_a_task_may_enqueue_tasks(redis_url: str, client: Client) -> None:
    app = App(redis_url, burst=True)
    names: list[str] = []

    @app.task("inner")
    async def inner(name: str) -> None:
        names.append(name)

    @app.task("outer")
    async def outer() -> None:
        await inner.enqueue("bob")

    await client.enqueue(Task("outer"))
    await run_until_empty(app)
    assert names == ["bob"]


async def test_middleware_wraps_the_functions(app: App) -> None:
    types: list[str] = []

    @app.use
    async def note(task: ActiveTask, call_next: AsyncHandler) -> None:
        types.append(task.type)
        await call_next(task)

    @app.task("t")
    async def nothing() -> None: ...

    await nothing.enqueue()
    await run_until_empty(app)
    assert types == ["t"]


async def test_middleware_gets_what_the_function_returns(app: App) -> None:
    answers: list[object] = []

    @app.use
    async def note(task: ActiveTask, call_next: AsyncHandler) -> None:
        answers.append(await call_next(task))

    @app.task("t")
    async def answer() -> int:
        return 42

    await answer.enqueue()
    await run_until_empty(app)
    assert answers == [42]


async def test_a_function_that_fails_is_retried(app: App, inspector: Inspector) -> None:
    @app.task("t")
    async def fail() -> None:
        raise ValueError

    info = await fail.enqueue()
    await run_until_empty(app)
    assert (await inspector.task_info("default", info.id)).state is TaskState.RETRY


# -- what goes out ---------------------------------------------------------------------------------


async def test_parameters_become_the_keys_of_a_json_object(app: App) -> None:
    @app.task("t")
    async def note(name: str, locale: str = "en", *, tags: list[str]) -> None: ...

    assert note.task("bob", tags=["a"]).payload == b'{"name":"bob","tags":["a"]}'


async def test_a_task_is_made_with_the_options_of_its_declaration(app: App) -> None:
    @app.task("t", queue="critical", max_retry=3, timeout=timedelta(seconds=30), retention=HOUR)
    async def nothing() -> None: ...

    info = await nothing.enqueue()
    assert (info.queue, info.max_retry, info.timeout) == ("critical", 3, timedelta(seconds=30))
    assert (info.retention, info.state) == (HOUR, TaskState.PENDING)


async def test_options_win_over_those_of_the_declaration(app: App) -> None:
    @app.task("t", queue="critical", max_retry=3)
    async def nothing() -> None: ...

    info = await nothing.options(queue="low", process_in=HOUR).enqueue()
    assert (info.queue, info.max_retry, info.state) == ("low", 3, TaskState.SCHEDULED)


async def test_options_leave_the_task_they_are_taken_from_as_it_is(app: App) -> None:
    @app.task("t")
    async def nothing() -> None: ...

    nothing.options(queue="low", headers={"k": "v"})
    assert (await nothing.enqueue()).queue == "default"


def test_options_do_not_read_the_function_again() -> None:
    @App(URL).task("t")
    async def take(name: str) -> None: ...

    assert take.options(queue="low")._signature is take._signature


def test_options_keep_the_kind_of_a_task() -> None:
    plain = App(URL).task("t")(lambda: 7)
    assert plain.options(queue="low")() == 7


async def test_headers_merge(app: App) -> None:
    @app.task("t")
    async def nothing() -> None: ...

    with_headers = nothing.options(headers={"a": "1", "b": "1"}).options(headers={"b": "2"})
    assert with_headers.task().headers == {"a": "1", "b": "2"}


async def test_a_task_can_be_made_for_another_client(app: App, client: Client) -> None:
    names: list[str] = []

    @app.task("t")
    async def note(name: str) -> None:
        names.append(name)

    await client.enqueue_many([note.task("a"), note.task("b")])
    await run_until_empty(app)
    assert sorted(names) == ["a", "b"]


async def test_an_app_without_open_client_says_how_to_open_it() -> None:
    app = App("redis://127.0.0.1:6379")

    @app.task("t")
    async def nothing() -> None: ...

    with pytest.raises(PyasynqError, match="async with app"):
        await nothing.enqueue()


async def test_an_app_stays_open_until_its_last_user_has_left(app: App) -> None:
    async with app.server().running():
        pass
    await app.client.ping()


async def test_an_app_can_be_opened_again(redis_url: str) -> None:
    app = App(redis_url)
    async with app:
        await app.client.ping()
    async with app:
        await app.client.ping()


# -- calls that nobody awaits ----------------------------------------------------------------------


async def test_a_plain_task_whose_call_is_never_awaited_fails_and_says_where(
    app: App, inspector: Inspector
) -> None:
    leaf = app.task("leaf")(_nothing)

    @app.task("plain")
    def plain() -> None:
        leaf.enqueue()  # type: ignore[unused-coroutine]

    info = await plain.enqueue()
    await run_until_empty(app)
    error = str((await inspector.task_info("default", info.id)).last_error)
    assert error.startswith(f"enqueue() of 'leaf' was never awaited at {__file__}:")


async def test_an_async_task_whose_call_is_never_awaited_fails_alone(
    app: App, inspector: Inspector
) -> None:
    leaf = app.task("leaf")(_nothing)

    @app.task("async")
    async def forget(*, properly: bool) -> None:
        call = leaf.enqueue()
        if properly:
            await call

    forgetful = await forget.enqueue(properly=False)
    await forget.enqueue(properly=True)
    await run_until_empty(app)
    assert [it.id for it in await inspector.list_tasks("default", "retry")] == [forgetful.id]


async def test_a_result_that_is_never_awaited_fails_the_task(
    app: App, inspector: Inspector
) -> None:
    @app.task("plain", retention=HOUR)
    def plain(task: ActiveTask) -> None:
        task.write_result(b"lost")  # type: ignore[unused-coroutine]

    info = await plain.enqueue()
    await run_until_empty(app)
    error = str((await inspector.task_info("default", info.id)).last_error)
    assert "write_result() was never awaited" in error


async def test_a_task_that_is_called_and_not_awaited_fails_the_one_that_called_it(
    app: App, inspector: Inspector
) -> None:
    leaf = app.task("leaf")(_nothing)

    @app.task("async")
    async def forget() -> None:
        leaf()  # type: ignore[unused-coroutine]

    info = await forget.enqueue()
    await run_until_empty(app)
    error = str((await inspector.task_info("default", info.id)).last_error)
    assert error.startswith("_nothing() of 'leaf' was never")


async def test_arguments_are_checked_when_the_call_is_made(app: App) -> None:
    @app.task("t")
    async def note(name: str) -> None: ...

    with pytest.raises(PayloadError):
        note.enqueue(1)  # type: ignore[arg-type]


# -- other event loops -----------------------------------------------------------------------------


async def test_a_plain_task_enqueues_in_a_loop_of_its_own_and_async_ones_go_on(app: App) -> None:
    ran: list[str] = []

    @app.task("leaf")
    async def leaf(name: str) -> None:
        ran.append(name)

    @app.task("plain")
    def plain() -> None:
        asyncio.run(leaf.enqueue("from a plain task"))

    @app.task("async")
    async def asynchronous() -> None:
        await leaf.enqueue("from an async task")

    await plain.enqueue()
    await run_until_empty(app)
    await asynchronous.enqueue()
    await run_until_empty(app)
    assert ran == ["from a plain task", "from an async task"]


async def test_the_first_call_from_another_loop_takes_the_client_from_nobody(
    redis_url: str, inspector: Inspector
) -> None:
    async with App(redis_url) as app:
        task = app.task("t")(_nothing)
        infos = [await asyncio.to_thread(lambda: asyncio.run(task.enqueue()))]
        infos += [await asyncio.to_thread(lambda: asyncio.run(app.client.enqueue(task.task())))]
        infos += [await task.enqueue()]
        pending = await inspector.list_tasks("default", "pending")
        assert {info.id for info in pending} == {info.id for info in infos}


async def test_an_app_can_be_opened_in_two_loops_at_a_time(redis_url: str) -> None:
    async def enqueue_there() -> Client:
        async with app:
            await task.enqueue()
            return app.client

    async with App(redis_url) as app:
        task = app.task("t")(_nothing)
        theirs = await asyncio.to_thread(lambda: asyncio.run(enqueue_there()))
        assert theirs is not app.client
        await task.enqueue()


def test_an_app_can_be_opened_by_one_loop_after_another(redis_url: str) -> None:
    app = App(redis_url)
    task = app.task("t")(_nothing)

    async def enqueue() -> TaskState:
        async with app:
            return (await task.enqueue()).state

    assert [asyncio.run(enqueue()) for _ in range(3)] == [TaskState.PENDING] * 3


def test_an_app_that_a_loop_never_left_says_so_and_opens_again(redis_url: str) -> None:
    app = App(redis_url)
    task = app.task("t")(_nothing)
    asyncio.run(app.__aenter__())
    with pytest.raises(PyasynqError, match="the loop in which the app was opened does not run"):
        asyncio.run(task.enqueue())

    async def enqueue() -> TaskState:
        async with app:
            return (await task.enqueue()).state

    assert asyncio.run(enqueue()) is TaskState.PENDING


async def test_an_app_is_left_in_the_loop_in_which_it_was_opened(app: App) -> None:
    with pytest.raises(PyasynqError, match="opened in another event loop"):
        await asyncio.to_thread(lambda: asyncio.run(app.__aexit__()))
    await app.client.ping()


async def test_a_forked_child_says_that_the_app_was_opened_before(app: App) -> None:
    task = app.task("t")(_nothing)
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)

    def child() -> None:
        try:
            asyncio.run(task.enqueue())
        except PyasynqError as error:
            sender.send(str(error))

    process = fork.Process(target=child)
    process.start()
    assert "the process that this one was forked from" in await asyncio.to_thread(receiver.recv)
    await asyncio.to_thread(process.join)


# -- results ---------------------------------------------------------------------------------------


async def test_the_return_value_is_stored_as_json(app: App, inspector: Inspector) -> None:
    @app.task("t", retention=HOUR)
    async def answer() -> dict[str, int]:
        return {"answer": 42}

    info = await answer.enqueue()
    await run_until_empty(app)
    assert (await inspector.task_info("default", info.id)).result == b'{"answer":42}'


async def test_nothing_is_stored_of_a_function_that_returns_none(
    app: App, inspector: Inspector
) -> None:
    @app.task("t", retention=HOUR)
    async def nothing() -> None: ...

    info = await nothing.enqueue()
    await run_until_empty(app)
    found = await inspector.task_info("default", info.id)
    assert (found.state, found.result) == (TaskState.COMPLETED, None)


async def test_nothing_is_stored_of_a_task_without_retention(
    app: App, inspector: Inspector
) -> None:
    @app.task("t")
    async def answer() -> int:
        return 42

    await answer.enqueue()
    await run_until_empty(app)
    assert (await inspector.queue_info("default")).size == 0


async def test_a_model_is_stored_as_json(app: App, inspector: Inspector) -> None:
    @app.task("t", retention=HOUR)
    async def answer() -> Model:
        return Model()

    info = await answer.enqueue()
    await run_until_empty(app)
    assert (await inspector.task_info("default", info.id)).result == b'{"answer":42}'


def endless() -> list[object]:
    """Return a list that contains itself."""
    things: list[object] = []
    things.append(things)
    return things


class Broken:
    """Stands for a model with a defect of its own."""

    def model_dump(self, *, mode: str) -> object:
        raise KeyError(mode)


@pytest.mark.parametrize(
    "value", [object(), endless(), Broken()], ids=["no json", "endless", "bug"]
)
async def test_a_result_that_is_no_json_archives_the_task_and_does_not_run_it_again(
    value: object, app: App, inspector: Inspector
) -> None:
    @app.task("t", retention=HOUR)
    async def answer() -> object:
        return value

    info = await answer.enqueue()
    await run_until_empty(app)
    assert (await inspector.task_info("default", info.id)).state is TaskState.ARCHIVED


# -- lifespan --------------------------------------------------------------------------------------


async def test_the_lifespan_is_open_while_tasks_run_and_its_state_is_there(app: App) -> None:
    steps: list[object] = []

    @app.lifespan
    async def lifespan(app: App) -> AsyncGenerator[Mapping[str, Any]]:
        yield {"db": "the database"}
        steps.append("closed")

    @app.task("t")
    async def use() -> None:
        steps.append(app.state["db"])

    await use.enqueue()
    await run_until_empty(app)
    assert steps == ["the database", "closed"]


async def test_the_lifespan_may_enqueue(redis_url: str) -> None:
    app = App(redis_url, burst=True)
    ran: list[str] = []

    @app.task("t")
    async def note() -> None:
        ran.append("t")

    @app.lifespan
    async def lifespan(_app: App) -> AsyncGenerator[None]:
        await note.enqueue()
        yield

    await run_until_empty(app)
    assert ran == ["t"]


# -- types -----------------------------------------------------------------------------------------


async def test_a_task_of_a_longer_type_is_not_run(
    app: App, client: Client, inspector: Inspector
) -> None:
    ran: list[str] = []

    @app.task("invoice")
    async def send(invoice_id: int) -> None:
        ran.append("invoice")

    info = await client.enqueue(Task("invoice_void", b'{"invoice_id":7}'))
    await run_until_empty(app)
    assert ran == []
    error = (await inspector.task_info("default", info.id)).last_error
    assert error == 'handler not found for task "invoice_void"'


async def test_a_prefix_of_the_apps_mux_handles_what_no_typed_task_does(
    app: App, client: Client
) -> None:
    ran: list[str] = []

    @app.task("email:verify")
    async def verify() -> None:
        ran.append("typed")

    @app.mux.handle("email:")
    async def other(task: ActiveTask) -> None:
        ran.append(task.type)

    await client.enqueue(Task("email:verify:again"))
    await verify.enqueue()
    await run_until_empty(app)
    assert sorted(ran) == ["email:verify:again", "typed"]


# -- where Redis is --------------------------------------------------------------------------------


async def test_an_app_without_an_address_enqueues_and_works_where_the_variable_says(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setenv("PYASYNQ_URI", redis_url)
    app = App(burst=True)
    ran: list[str] = []

    @app.task("leaf")
    async def leaf() -> None:
        ran.append("leaf")

    @app.task("root")
    async def root() -> None:
        await leaf.enqueue()

    await client.enqueue(root.task())
    await run_until_empty(app)
    assert ran == ["leaf"]


@pytest.mark.parametrize(
    ("given", "variable", "used"),
    [
        (None, "", "redis://127.0.0.1:6379 (as neither the app nor PYASYNQ_URI names one)"),
        (None, "redis://h:1", "redis://h:1 (named by PYASYNQ_URI)"),
        ("redis://u:p@h:2/3", "redis://h:1", "redis://h:2/3 (named by the app)"),
    ],
    ids=["neither", "variable", "both"],
)
def test_an_address_in_the_code_wins_over_the_variable(
    given: str | None, variable: str, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYASYNQ_URI", variable)
    assert str(App(given).address) == used


@pytest.mark.parametrize("address", ["", "http://h", "redis://h?retry=3", "h:port", 7])
def test_a_text_that_is_no_address_is_refused_at_the_declaration(address: object) -> None:
    with pytest.raises(OptionError, match=r"^broker must be"):
        App(cast("str", address))


async def test_the_error_for_a_wrong_address_names_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYASYNQ_URI", "http://h")
    app = App()
    with pytest.raises(OptionError, match=r"^PYASYNQ_URI must be host:port"):
        app.server()
    with pytest.raises(OptionError, match=r"^PYASYNQ_URI must be host:port"):
        app.scheduler()
    with pytest.raises(OptionError, match=r"^PYASYNQ_URI must be host:port"):
        await app.__aenter__()


def test_declaring_an_app_does_not_load_the_driver() -> None:
    code = "import sys, pyasynq; pyasynq.App('redis://h', threads=3); print('redis' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def _plain_lifespan(_app: App) -> Iterator[None]:
    yield


async def _lifespan_without_yield(_app: App) -> None: ...


@pytest.mark.parametrize("lifespan", [_plain_lifespan, _lifespan_without_yield, None])
def test_a_lifespan_that_could_not_be_entered_is_refused(lifespan: object) -> None:
    with pytest.raises(TypeError, match="an async def that takes the app and yields, got"):
        App().lifespan(cast("Any", lifespan))


async def test_a_lifespan_that_yields_no_mapping_says_what_it_may_yield(app: App) -> None:
    @app.lifespan
    async def lifespan(_app: App) -> AsyncGenerator[Any]:
        yield 5

    with pytest.raises(TypeError, match="must yield a mapping, or nothing, got 5"):
        await run_until_empty(app)


# -- servers ---------------------------------------------------------------------------------------


async def test_options_of_the_server_win_over_those_of_the_app(redis_url: str) -> None:
    app = App(redis_url, concurrency=3, queues={"a": 1})
    server = app.server(concurrency=5)
    assert (server._config.concurrency, server._config.queues) == (5, {"a": 1})


async def test_a_server_may_be_given_another_redis(redis_url: str, client: Client) -> None:
    app = App("redis://127.0.0.1:1", burst=True)
    ran: list[str] = []

    @app.task("t")
    async def note() -> None:
        ran.append("t")

    await client.enqueue(Task("t"))
    await app.server(redis_url).run()
    assert ran == ["t"]


async def test_two_servers_of_one_app_share_its_tasks(redis_url: str, client: Client) -> None:
    app = App(redis_url)
    ran: set[int] = set()
    both = asyncio.Event()

    @app.task("t")
    async def note(n: int) -> None:
        ran.add(n)
        await note.enqueue(n)
        both.set()

    async with app.server().running() as first, app.server().running():
        await client.enqueue(Task("t", b'{"n":1}'))
        await asyncio.wait_for(both.wait(), 20)
    assert (first.state, ran) == ("closed", {1})


# -- declarations ----------------------------------------------------------------------------------


def test_a_type_is_declared_once() -> None:
    app = App("redis://127.0.0.1:6379")
    app.task("t")(_nothing)
    with pytest.raises(OptionError, match="type must be one that no other task of this app has"):
        app.task("t")(_nothing)


def test_a_blank_type_is_refused() -> None:
    with pytest.raises(OptionError, match=r"^type must be"):
        App("redis://127.0.0.1:6379").task(" ")


def test_an_option_that_cannot_work_is_refused_at_the_declaration() -> None:
    with pytest.raises(OptionError, match=r"^max_retry must be"):
        App("redis://127.0.0.1:6379").task("t", max_retry=-1)


def test_an_unknown_option_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(TypeError, match="did you mean 'retention'"):
        App("redis://127.0.0.1:6379").task("t", retension=HOUR)  # type: ignore[call-overload]


def test_an_option_that_cannot_work_is_refused_at_options() -> None:
    task = App("redis://127.0.0.1:6379").task("t")(_nothing)
    with pytest.raises(OptionError, match=r"^max_retry must be"):
        task.options(max_retry=-1).task()


def test_a_task_keeps_name_and_docstring_of_its_function() -> None:
    task = App("redis://127.0.0.1:6379").task("t")(_nothing)
    assert (task.__name__, task.__doc__) == ("_nothing", "Do nothing.")  # type: ignore[attr-defined]


async def _nothing() -> None:
    """Do nothing."""


# -- mistakes --------------------------------------------------------------------------------------

URL = "redis://127.0.0.1:6379"


def test_an_unknown_option_of_an_app_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="did you mean 'concurrency'"):
        App(URL, concurency=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("option", "value"),
    [("threads", 0), ("queues", ["a"]), ("unknown", "drop"), ("lease", 30), ("on_error", "log")],
)
def test_an_option_of_an_app_that_cannot_work_is_refused_at_the_declaration(
    option: str, value: object
) -> None:
    with pytest.raises(OptionError, match=rf"^{option} must be"):
        App(URL, **cast("Any", {option: value}))


def test_an_unknown_option_of_a_server_is_refused() -> None:
    with pytest.raises(TypeError, match="did you mean 'queues'"):
        App(URL).server(queue={"a": 1})  # type: ignore[call-arg]


def test_an_unknown_option_of_a_call_is_refused() -> None:
    task = App(URL).task("t")(lambda: None)
    with pytest.raises(TypeError, match="did you mean 'max_retry'"):
        task.options(max_retries=2)  # type: ignore[call-arg]


def test_a_task_without_a_type_is_refused() -> None:
    with pytest.raises(TypeError, match=r'write @app.task\("email:welcome"\)'):
        App(URL).task(lambda: None)  # type: ignore[arg-type]


def test_a_generator_cannot_be_a_task() -> None:
    def numbers(count: int) -> Iterator[int]:
        yield from range(count)

    with pytest.raises(TypeError, match=r"the task 't' must return, .*numbers yields"):
        App(URL).task("t")(numbers)


def test_a_typed_task_shows_its_type() -> None:
    assert repr(App(URL).task("t")(lambda: None)) == "<TypedTask 't'>"


async def test_a_typed_task_is_no_task_and_says_what_is(app: App) -> None:
    task = app.task("t")(lambda: None)
    with pytest.raises(OptionError, match=r"\.task\(…\)\), got <TypedTask 't'>"):
        await app.client.enqueue(task)  # type: ignore[arg-type]


async def test_a_task_whose_queue_no_worker_serves_is_reported_at_the_start(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.task("crit", queue="critical")(lambda: None)
    await run_until_empty(app)
    assert "tasks of crit go to the queue 'critical', which neither" in caplog.text


async def test_a_queue_that_only_a_periodic_task_uses_is_reported_at_the_start(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.periodic("@daily", queue="low")(app.task("report")(lambda: None))
    await run_until_empty(app)
    assert "tasks of report go to the queue 'low', which neither" in caplog.text


async def test_a_queue_that_other_workers_of_the_app_may_serve_is_not_reported(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(redis_url, burst=True, queues={"critical": 6, "default": 1})
    app.task("crit", queue="critical")(lambda: None)
    await asyncio.wait_for(app.server(queues={"default": 1}).run(), 15)
    assert "go to the queue" not in caplog.text


async def test_a_queue_that_a_pattern_serves_is_not_reported(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(redis_url, burst=True, queues={"tenant-*": 1})
    app.task("one", queue="tenant-1")(lambda: None)
    app.task("two", queue="other")(lambda: None)
    await asyncio.wait_for(app.server().run(), 15)
    assert [line for line in caplog.messages if "go to the queue" in line] == [
        "tasks of two go to the queue 'other', which neither the app nor this worker listens to"
    ]


async def test_an_app_without_tasks_says_so(app: App, caplog: pytest.LogCaptureFixture) -> None:
    await run_until_empty(app)
    assert "the app has no tasks: its module must import those that" in caplog.text


async def test_a_worker_without_aggregator_names_the_tasks_that_wait_for_one(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.task("digest", group="g")(lambda: None)
    await run_until_empty(app)
    assert "tasks of digest wait in groups for a worker with an aggregator" in caplog.text


async def test_a_worker_says_who_enqueues_periodic_tasks(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.periodic("@hourly")(_nothing)
    with caplog.at_level("INFO"):
        await run_until_empty(app)
    assert "periodic tasks: 1; a scheduler enqueues them" in caplog.text


# -- groups ----------------------------------------------------------------------------------------


async def test_the_apps_aggregator_combines_what_its_tasks_were_called_with(app: App) -> None:
    digests: list[list[str]] = []
    arrived = asyncio.Event()

    @app.task("notify", group="bob")
    async def notify(text: str) -> None: ...

    @app.task("digest")
    async def digest(texts: list[str]) -> None:
        digests.append(sorted(texts))
        arrived.set()

    @app.aggregator
    def aggregate(_group: str, tasks: list[Task]) -> Task:
        return digest.task([notify.arguments(task)["text"] for task in tasks])

    async with asyncio.timeout(60), app.server(group_max_size=2).running():
        await notify.enqueue("a")
        await notify.enqueue("b")
        await arrived.wait()
    assert digests == [["a", "b"]]
    assert isinstance(aggregate("bob", []), Task)


async def test_an_app_has_one_aggregator(app: App) -> None:
    @app.aggregator
    def aggregate(_group: str, tasks: list[Task]) -> Task:
        return tasks[0]

    with pytest.raises(OptionError, match="one for the whole app"):
        app.aggregator(aggregate)


async def test_arguments_that_do_not_fit_name_the_field(app: App) -> None:
    @app.task("notify")
    async def notify(text: str) -> None: ...

    with pytest.raises(PayloadError, match="text"):
        notify.arguments(Task("notify", b"{}"))


# -- for operators ---------------------------------------------------------------------------------


async def test_the_tasks_of_an_app_are_found_by_their_types(app: App) -> None:
    @app.task("notify")
    async def notify(text: str) -> None: ...

    assert app.tasks == {"notify": notify}


async def test_a_payload_that_somebody_has_written_becomes_the_task_of_the_call(app: App) -> None:
    @app.task("notify", queue="mail", max_retry=3)
    async def notify(text: str, *, to: str = "all") -> None: ...

    task = notify.from_payload(b'{ "text" : "hello" }')
    assert (task.type, task.payload) == ("notify", notify.task("hello").payload)
    assert (task.options.queue, task.options.max_retry) == ("mail", 3)


async def test_a_payload_in_another_order_becomes_the_same_task(app: App) -> None:
    @app.task("notify")
    async def notify(text: str, *, to: str = "all") -> None: ...

    task = notify.from_payload(b'{"to": "bob", "text": "hello"}')
    assert task.payload == notify.task("hello", to="bob").payload


async def test_no_payload_is_a_call_without_arguments(app: App) -> None:
    @app.task("tick")
    async def tick() -> None: ...

    assert tick.from_payload(b"").payload == tick.task().payload


async def test_a_whole_payload_stays_what_it_is(app: App) -> None:
    @app.task("raw")
    async def raw(data: bytes, /) -> None: ...

    assert raw.from_payload(b"\x00\xff").payload == b"\x00\xff"


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"{}", "text"),
        (b'{"text": 1}', r"\$\.text"),
        (b'{"text": "a", "txet": "b"}', "there is no parameter 'txet': the task takes"),
        (b"hello", "malformed"),
    ],
)
async def test_a_payload_that_does_not_fit_names_the_field(
    app: App, payload: bytes, text: str
) -> None:
    @app.task("notify")
    async def notify(text: str) -> None: ...

    with pytest.raises(PayloadError, match=text):
        notify.from_payload(payload)


async def test_a_new_client_has_the_middleware_and_the_codecs_of_the_app(redis_url: str) -> None:
    app = App("redis://elsewhere", codecs=[Zlib()])
    seen: list[str] = []

    @app.use_client
    async def note(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        seen.append(task.type)
        return await call_next(task, options)

    async with app.new_client(redis_url) as client:
        info = await client.enqueue(Task("t", b"p"))
    async with app.inspector(redis_url) as inspector:
        assert (await inspector.task_info("default", info.id)).payload == b"p"
    async with Inspector(redis_url) as inspector:
        assert (await inspector.task_info("default", info.id)).sealed == "zlib"
    assert seen == ["t"]


async def test_a_new_client_and_an_inspector_use_the_redis_of_the_app(redis_url: str) -> None:
    app = App(redis_url)
    async with app.new_client() as client, app.inspector() as inspector:
        await client.enqueue(Task("t"))
        assert await inspector.queues() == ["default"]
