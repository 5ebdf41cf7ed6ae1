"""Tasks follow others exactly once, and the worker's own hooks hear of each outcome."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Unpack

import pytest

from pyasynq import (
    ActiveTask,
    Client,
    Hooks,
    Inspector,
    Mux,
    Options,
    Outcome,
    PyasynqError,
    RevokeTask,
    Server,
    SkipRetry,
    Snooze,
    Task,
    TaskInfo,
)
from pyasynq.broker import open_broker
from pyasynq.client import CallNext
from pyasynq.core.outcome import Ending, Event
from pyasynq.server import ServerOptions
from tests.server.handlers import run_burst
from tests.support.codecs import Zlib
from tests.support.key_audit import audit_keys
from tests.support.waiting import wait_until

QUEUES = {"default": 1, "other": 1}
HOUR = timedelta(hours=1)

OTHERS = (Task("next", b"here"), Task("next", b"there", queue="other"))


@pytest.fixture(params=["redis", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the address of each broker, empty."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tasks.db"
        return
    server = request.getfixturevalue("redis_server")
    with audit_keys(server):
        yield str(server.url)


@pytest.fixture
async def anyone(url: str) -> AsyncIterator[Client]:
    """Yield a client of the broker."""
    async with Client(url) as client:
        yield client


class Followers:
    """A mux that records the tasks of type ``next``, and of all others runs a handler."""

    def __init__(self, handler: Callable[[ActiveTask], Any]) -> None:
        self.payloads: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.mux = Mux()
        self.mux.handle("next", exact=True)(self._record)
        self.mux.handle("t")(handler)

    async def _record(self, task: ActiveTask) -> None:
        self.payloads.append(task.payload)
        self.headers.append(dict(task.headers))


async def add_others(task: ActiveTask) -> None:
    task.then(*OTHERS)


async def run(
    url: str, handler: Callable[[ActiveTask], Any], **options: Unpack[ServerOptions]
) -> Followers:
    """Run all tasks of both queues, and those that follow; return what has followed."""
    followers = Followers(handler)
    options = {"burst": True, "queues": QUEUES, **options}
    await run_burst(Server(url, **options), followers.mux)
    return followers


# -- what a handler adds ---------------------------------------------------------------------------


async def test_what_a_handler_adds_runs_after_its_success(url: str, anyone: Client) -> None:
    await anyone.enqueue(Task("t"))
    followers = await run(url, add_others)
    assert sorted(followers.payloads) == [b"here", b"there"]


async def test_what_a_handler_adds_runs_after_a_success_that_is_kept(
    url: str, anyone: Client
) -> None:
    await anyone.enqueue(Task("t"), retention=HOUR)
    followers = await run(url, add_others)
    assert sorted(followers.payloads) == [b"here", b"there"]


async def test_a_plain_function_adds_tasks_as_well(url: str, anyone: Client) -> None:
    def add(task: ActiveTask) -> None:
        task.then(OTHERS[0])
        task.then(OTHERS[1])

    await anyone.enqueue(Task("t"))
    followers = await run(url, add)
    assert sorted(followers.payloads) == [b"here", b"there"]


@pytest.mark.parametrize(
    "error",
    [ValueError("boom"), SkipRetry("boom"), RevokeTask("boom"), Snooze(HOUR)],
    ids=lambda error: type(error).__name__,
)
async def test_a_run_that_fails_leaves_nothing_of_what_it_added(
    url: str, anyone: Client, error: Exception
) -> None:
    async def add_and_fail(task: ActiveTask) -> None:
        task.then(*OTHERS)
        raise error

    await anyone.enqueue(Task("t"))
    assert (await run(url, add_and_fail)).payloads == []


async def test_what_failed_runs_added_is_not_added_to_the_success(url: str, anyone: Client) -> None:
    async def fail_once(task: ActiveTask) -> None:
        task.then(Task("next", f"{task.retried}".encode()))
        if not task.retried:
            raise ValueError

    await anyone.enqueue(Task("t"))
    followers = Followers(fail_once)
    async with Server(url, retry_delay=lambda *_: timedelta(0)).running(followers.mux):
        await wait_until(lambda: followers.payloads)
    assert followers.payloads == [b"1"]


async def test_what_a_run_adds_that_is_stopped_is_dropped(url: str, anyone: Client) -> None:
    async def hang(task: ActiveTask) -> None:
        task.then(*OTHERS)
        await asyncio.Event().wait()

    await anyone.enqueue(Task("t"), timeout=timedelta(seconds=1), max_retry=0)
    assert (await run(url, hang)).payloads == []


async def test_what_is_added_after_the_run_is_refused(url: str, anyone: Client) -> None:
    ended: list[ActiveTask] = []

    async def keep(task: ActiveTask) -> None:
        ended.append(task)

    await anyone.enqueue(Task("t"))
    await run(url, keep)
    with pytest.raises(PyasynqError, match="has ended"):
        ended[0].then(Task("next"))


async def test_a_run_adds_a_hundred_tasks_at_most(url: str, anyone: Client) -> None:
    async def add(task: ActiveTask) -> None:
        task.then(*(Task("next") for _ in range(100)))
        task.then(Task("next"))

    info = await anyone.enqueue(Task("t"), max_retry=0)
    assert (await run(url, add)).payloads == []
    assert "at most 100 in a run" in await error_of(url, info)


async def test_only_tasks_can_be_added(url: str, anyone: Client) -> None:
    async def add(task: ActiveTask) -> None:
        wrong: Any = "next"
        task.then(wrong)

    info = await anyone.enqueue(Task("t"), max_retry=0)
    await run(url, add)
    assert "a Task" in await error_of(url, info)


async def test_a_task_that_is_too_large_fails_the_run_that_adds_it(
    url: str, anyone: Client
) -> None:
    async def add(task: ActiveTask) -> None:
        task.then(OTHERS[0], Task("next", bytes(2_000_000)))

    info = await anyone.enqueue(Task("t"), max_retry=0)
    assert (await run(url, add)).payloads == []
    assert "payload" in await error_of(url, info)


async def error_of(url: str, info: TaskInfo) -> str:
    """Return the last error of a task."""
    async with Inspector(url) as inspector:
        return (await inspector.task_info(info.queue, info.id)).last_error or ""


_place: contextvars.ContextVar[str] = contextvars.ContextVar("_place")


async def test_client_middleware_sees_what_a_handler_adds_in_the_handlers_context(
    url: str, anyone: Client
) -> None:
    async def add(task: ActiveTask) -> None:
        token = _place.set("inside")
        task.then(Task("next"))
        _place.reset(token)

    async def mark(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        await asyncio.sleep(0)
        return await call_next(Task(task.type, task.payload, headers={"at": _place.get()}), options)

    await anyone.enqueue(Task("t"))
    followers = await run(url, add, client_middleware=[mark])
    assert followers.headers == [{"at": "inside"}]


async def test_client_middleware_that_refuses_what_a_handler_adds_fails_the_run(
    url: str, anyone: Client
) -> None:
    async def refuse(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        raise ValueError("not today")

    info = await anyone.enqueue(Task("t"), max_retry=0)
    assert (await run(url, add_others, client_middleware=[refuse])).payloads == []
    assert "not today" in await error_of(url, info)


async def test_what_a_handler_adds_is_sealed(url: str, anyone: Client) -> None:
    codecs = [Zlib()]
    await anyone.enqueue(Task("t"))
    async with Inspector(url) as inspector:
        mux = Mux()
        mux.handle("t")(_add_scheduled)
        await run_burst(Server(url, burst=True, codecs=codecs), mux)
        (sealed,) = await inspector.list_tasks("default", "scheduled")
    assert sealed.sealed == "zlib"


async def _add_scheduled(task: ActiveTask) -> None:
    task.then(Task("next", b"secret", process_in=HOUR))


# -- tasks that follow an outcome ------------------------------------------------------------------


def ending_with(error: Exception | None) -> Callable[[ActiveTask], Any]:
    async def end(task: ActiveTask) -> None:
        if error is not None:
            raise error

    return end


def follow(outcome: Outcome) -> Task:
    return Task("next", f"{outcome.outcome} {outcome.error}".encode(), queue="other")


def hooks_for(*outcomes: Ending, make: Callable[[Outcome], Task] = follow) -> Hooks:
    hooks = Hooks()
    for outcome in outcomes:
        hooks.when(outcome, "t", make)
    return hooks


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, b"succeeded None"),
        (SkipRetry("boom"), b"archived boom"),
        (RevokeTask("boom"), b"revoked None"),
    ],
    ids=["succeeded", "archived", "revoked"],
)
async def test_a_task_follows_each_final_outcome(
    url: str, anyone: Client, error: Exception | None, expected: bytes
) -> None:
    hooks = hooks_for("succeeded", "archived", "expired", "revoked")
    await anyone.enqueue(Task("t"))
    followers = await run(url, ending_with(error), hooks=hooks)
    assert followers.payloads == [expected]


async def test_a_task_whose_deadline_had_passed_has_expired(url: str, anyone: Client) -> None:
    await anyone.enqueue(Task("t"), deadline=datetime(2001, 9, 9, tzinfo=UTC))
    hooks = hooks_for("succeeded", "archived", "expired")
    followers = await run(url, ending_with(None), hooks=hooks)
    (payload,) = followers.payloads
    assert payload.startswith(b"expired context deadline exceeded")


@pytest.mark.parametrize("error", [ValueError("boom"), Snooze(HOUR)], ids=["retry", "snooze"])
async def test_nothing_follows_a_run_after_which_the_task_runs_again(
    url: str, anyone: Client, error: Exception
) -> None:
    hooks = hooks_for("succeeded", "archived", "expired", "revoked")
    await anyone.enqueue(Task("t"))
    assert (await run(url, ending_with(error), hooks=hooks)).payloads == []


async def test_a_task_follows_together_with_what_the_handler_added(
    url: str, anyone: Client
) -> None:
    await anyone.enqueue(Task("t"))
    followers = await run(url, add_others, hooks=hooks_for("succeeded"))
    assert sorted(followers.payloads) == [b"here", b"succeeded None", b"there"]


async def test_a_task_does_not_follow_its_own_type(url: str, anyone: Client) -> None:
    hooks = hooks_for("succeeded", make=lambda outcome: Task(outcome.type))
    await anyone.enqueue(Task("t"))
    runs: list[str] = []

    async def record(task: ActiveTask) -> None:
        runs.append(task.id)

    await run(url, record, hooks=hooks)
    assert len(runs) == 1


async def test_the_outcome_is_written_although_the_follower_cannot_be_made(
    url: str, anyone: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(outcome: Outcome) -> Task:
        raise SystemExit("boom")

    info = await anyone.enqueue(Task("t"), retention=HOUR)
    with caplog.at_level(logging.ERROR, "pyasynq.server"):
        await run(url, ending_with(None), hooks=hooks_for("succeeded", make=fail))
    assert await anyone.result(info) == b""
    assert "no task follows" in caplog.text


async def test_the_headers_of_a_task_travel_to_what_follows(url: str, anyone: Client) -> None:
    await anyone.enqueue(Task("t", headers={"trace": "7"}))
    followers = await run(url, ending_with(None), hooks=hooks_for("succeeded"))
    assert followers.headers == [{"trace": "7"}]


async def test_an_outcome_has_the_opened_payload(url: str) -> None:
    codecs = [Zlib()]
    hooks = hooks_for("succeeded", make=lambda it: Task("next", it.payload))
    async with Client(url, codecs=codecs) as client:
        await client.enqueue(Task("t", b"secret"))
    followers = await run(url, ending_with(None), hooks=hooks, codecs=codecs)
    assert followers.payloads == [b"secret"]


async def test_an_outcome_has_no_payload_if_the_worker_cannot_open_it(url: str) -> None:
    async with Client(url, codecs=[Zlib()]) as client:
        await client.enqueue(Task("t", b"secret"), max_retry=0)
    await die(url)
    followers = Followers(ending_with(None))
    hooks = hooks_for("archived", make=lambda it: Task("next", repr(it.payload).encode()))
    async with Server(url, hooks=hooks).running(followers.mux):
        await wait_until(lambda: followers.payloads)
    assert followers.payloads == [b"None"]


async def test_a_task_follows_one_that_the_recoverer_archives(url: str, anyone: Client) -> None:
    await anyone.enqueue(Task("t"), max_retry=0)
    await die(url)
    followers = Followers(ending_with(None))
    server = Server(url, queues=QUEUES, hooks=hooks_for("archived"))
    async with server.running(followers.mux):
        await wait_until(lambda: followers.payloads)
    assert followers.payloads == [b"archived asynq: task lease expired"]


async def die(url: str) -> None:
    """Take the tasks of the queue as a server that does nothing more; their leases are over."""
    broker = open_broker(url)
    await broker.work.dequeue({"default": 100}, owner="dead/1", lease_s=-1)
    await broker.aclose()


# -- functions of the worker -----------------------------------------------------------------------


class Notes:
    """Records the outcomes that a worker's hooks get."""

    def __init__(self, *events: Event) -> None:
        self.hooks = Hooks()
        self.outcomes: list[Outcome] = []
        self.threads: set[int] = set()
        for event in events:
            self.hooks.on(event, "t")(self._record)

    def _record(self, outcome: Outcome) -> None:
        self.threads.add(threading.get_ident())
        self.outcomes.append(outcome)

    @property
    def events(self) -> list[str]:
        return [outcome.outcome for outcome in self.outcomes]


ALL_EVENTS: Final[Sequence[Event]] = (
    "succeeded",
    "archived",
    "expired",
    "revoked",
    "retried",
    "recovered",
)


@pytest.mark.parametrize(
    ("error", "events"),
    [
        (None, ["succeeded"]),
        (ValueError("boom"), ["retried"]),
        (SkipRetry("boom"), ["archived"]),
        (RevokeTask("boom"), ["revoked"]),
        (Snooze(HOUR), []),
    ],
    ids=["succeeded", "retried", "archived", "revoked", "snoozed"],
)
async def test_a_function_is_called_after_each_outcome_it_is_for(
    url: str, anyone: Client, error: Exception | None, events: list[str]
) -> None:
    notes = Notes(*ALL_EVENTS)
    await anyone.enqueue(Task("t"))
    await run(url, ending_with(error), hooks=notes.hooks)
    assert notes.events == events


async def test_a_plain_function_runs_in_a_thread(url: str, anyone: Client) -> None:
    notes = Notes("succeeded")
    await anyone.enqueue(Task("t"))
    await run(url, ending_with(None), hooks=notes.hooks)
    assert threading.get_ident() not in notes.threads


async def test_a_function_is_called_once_the_outcome_is_written(url: str, anyone: Client) -> None:
    states: list[str] = []
    hooks = Hooks()
    info = await anyone.enqueue(Task("t"), retention=HOUR)

    @hooks.on("succeeded")
    async def look(outcome: Outcome) -> None:
        async with Inspector(url) as inspector:
            states.append((await inspector.task_info(outcome.queue, outcome.id)).state)

    await run(url, ending_with(None), hooks=hooks)
    assert (states, info.id) == (["completed"], info.id)


async def test_what_a_function_raises_is_logged_and_stops_no_other(
    url: str, anyone: Client, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes("succeeded")

    @notes.hooks.on("succeeded")
    async def fail(outcome: Outcome) -> None:
        raise SystemExit("boom")

    await anyone.enqueue_many([Task("t", b"secret"), Task("t", b"secret")])
    await run(url, ending_with(None), hooks=notes.hooks)
    assert notes.events == ["succeeded", "succeeded"]
    assert "on('succeeded') failed for <Outcome succeeded of 't'" in caplog.text
    assert "secret" not in caplog.text


async def test_a_recovered_task_is_told_by_the_worker_that_found_it(
    url: str, anyone: Client
) -> None:
    notes = Notes("recovered")
    info = await anyone.enqueue(Task("t"))
    await die(url)
    async with Server(url, hooks=notes.hooks).running(ending_with(None)):
        await wait_until(lambda: notes.outcomes)
    (outcome,) = notes.outcomes
    assert (outcome.id, outcome.retried, outcome.taken_at) == (info.id, 1, None)


async def test_hooks_that_are_declared_later_are_called_as_well(url: str, anyone: Client) -> None:
    notes = Notes()
    async with Server(url, hooks=notes.hooks).running(ending_with(None)):
        notes.hooks.on("succeeded")(notes._record)
        await anyone.enqueue(Task("t"))
        await wait_until(lambda: notes.outcomes)
    assert notes.events == ["succeeded"]
