"""The client checks before it writes, shares round trips, and answers each task separately."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID

import anyio
import pytest
from redis.asyncio import Redis

from pyasynq import (
    ActiveTask,
    BrokerUnavailableError,
    Client,
    ClientClosedError,
    DuplicateTaskError,
    Flow,
    Inspector,
    LoopError,
    OptionError,
    PyasynqError,
    ResultExpiredError,
    Server,
    SkipRetry,
    SyncClient,
    Task,
    TaskFailedError,
    TaskIDConflictError,
    TaskInfo,
    TaskState,
)
from pyasynq.broker.sqlite import in_memory
from pyasynq.client.client import CHUNK, MAX_PAYLOAD
from tests.support.clocks import SteeredClock
from tests.support.queue_view import RedisQueue
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    async with Client(redis_url) as client:
        yield client


@pytest.fixture
def sync_client(redis_url: str) -> Iterator[SyncClient]:
    with SyncClient(redis_url) as client:
        yield client


async def script_calls(r: Redis) -> int:
    """Return the number of script calls that Redis got."""
    statistics = cast("dict[str, dict[str, int]]", await r.info("commandstats"))
    return statistics["cmdstat_evalsha"]["calls"]


def enqueue_until_closed(client: SyncClient) -> str:
    with suppress(ClientClosedError):
        while True:
            client.enqueue(Task("t"))
    return "closed"


def ids(outcomes: list[TaskInfo | PyasynqError]) -> list[str]:
    return [outcome.id for outcome in outcomes if isinstance(outcome, TaskInfo)]


# -- enqueue ---------------------------------------------------------------------------------------


async def test_an_enqueued_task_is_described_as_it_stands(redis_url: str, r: Redis) -> None:
    async with Client(redis_url, clock=SteeredClock(NOON)) as client:
        info = await client.enqueue(Task("t", b"p"), queue="q", task_id="1", retention=MINUTE)
    assert info == TaskInfo(
        id="1",
        queue="q",
        type="t",
        payload=b"p",
        state=TaskState.PENDING,
        max_retry=25,
        timeout=timedelta(minutes=30),
        retention=MINUTE,
        next_process_at=NOON,
    )
    assert await RedisQueue(r, "q").pending_ids() == ["1"]


async def test_a_task_gets_a_uuid_for_its_id_that_grows_with_time(client: Client) -> None:
    infos = [await client.enqueue(Task("t")) for _ in range(3)]
    infos += cast("list[TaskInfo]", await client.enqueue_many([Task("t")] * 300))
    ids = [info.id for info in infos]
    assert {UUID(task_id).version for task_id in ids} == {7}
    assert [str(UUID(task_id)) for task_id in ids] == ids
    assert len(set(ids)) == len(ids)
    assert sorted(ids[:4]) == ids[:4]
    assert sorted(ids[3:259]) == ids[3:259]  # made at once


async def test_one_task_may_be_enqueued_many_times(client: Client) -> None:
    task = Task("t")
    first, second = await client.enqueue(task), await client.enqueue(task)
    assert first.id != second.id


async def test_the_options_of_the_call_win(client: Client) -> None:
    info = await client.enqueue(Task("t", queue="a", max_retry=1), queue="b")
    assert (info.queue, info.max_retry) == ("b", 1)


async def test_a_task_for_later_is_scheduled(client: Client, r: Redis) -> None:
    info = await client.enqueue(Task("t"), process_in=MINUTE)
    assert info.state is TaskState.SCHEDULED
    assert await RedisQueue(r).ids("scheduled") == [info.id]


async def test_a_task_with_a_group_is_aggregating(client: Client, r: Redis) -> None:
    info = await client.enqueue(Task("t"), group="g")
    assert info.state is TaskState.AGGREGATING
    assert await RedisQueue(r).members("g") == [info.id]


async def test_a_second_unique_task_is_refused(client: Client) -> None:
    await client.enqueue(Task("t", b"p"), unique=MINUTE)
    with pytest.raises(DuplicateTaskError, match="unique 't' with this payload is in 'default'"):
        await client.enqueue(Task("t", b"p"), unique=MINUTE)


async def test_an_id_that_is_taken_is_refused(client: Client) -> None:
    await client.enqueue(Task("t"), task_id="1")
    with pytest.raises(TaskIDConflictError, match="'1' is in 'default'"):
        await client.enqueue(Task("t"), task_id="1")


async def test_the_same_id_in_another_queue_is_accepted(client: Client) -> None:
    await client.enqueue(Task("t"), task_id="1")
    assert (await client.enqueue(Task("t"), task_id="1", queue="q")).id == "1"


# -- refused at the door ---------------------------------------------------------------------------

BAD_OPTIONS = [
    {"queue": " "},
    {"queue": "q" * 256},
    {"queue": "a{b}"},
    {"queue": "\ud800"},
    {"task_id": ""},
    {"max_retry": -1},
    {"max_retry": True},
    {"timeout": timedelta(milliseconds=500)},
    {"timeout": -MINUTE},
    {"deadline": datetime(2026, 1, 1)},  # noqa: DTZ001  # the naive time that is tested
    {"unique": timedelta()},
    {"process_at": datetime(2026, 1, 1)},  # noqa: DTZ001
    {"process_in": -MINUTE},
    {"process_at": NOON, "process_in": MINUTE},
    {"retention": timedelta(milliseconds=1)},
    {"group": ""},
    {"group": "g:0b5be0b8-2c0e-4c39-9d07-6d0d9e2d1a11"},
    {"headers": {"a": "\udfff"}},
    {"headers": {"a": 1}},
]


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=lambda options: ascii(options)[:60])
async def test_a_bad_option_is_refused_before_anything_is_written(
    options: dict[str, Any], client: Client, r: Redis
) -> None:
    with pytest.raises(OptionError):
        await client.enqueue(Task("t"), **cast("Any", options))
    assert await r.dbsize() == 0


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=lambda options: ascii(options)[:60])
async def test_a_bad_option_of_a_batch_is_refused_before_anything_is_written(
    options: dict[str, Any], client: Client, r: Redis
) -> None:
    with pytest.raises(OptionError):
        await client.enqueue_many([Task("t"), Task("t")], **cast("Any", options))
    assert await r.dbsize() == 0


async def test_an_unknown_option_is_refused_before_anything_is_written(
    client: Client, r: Redis
) -> None:
    with pytest.raises(TypeError, match="unknown option 'quue'; did you mean 'queue'"):
        await client.enqueue(Task("t"), **cast("Any", {"quue": "q"}))
    assert await r.dbsize() == 0


async def test_a_payload_over_the_limit_is_refused_before_anything_is_written(
    client: Client, r: Redis
) -> None:
    with pytest.raises(OptionError, match=r"at most 1048576 bytes with headers \(max_payload\)"):
        await client.enqueue(Task("t", bytes(MAX_PAYLOAD + 1)))
    assert await r.dbsize() == 0


async def test_a_payload_at_the_limit_is_accepted(client: Client) -> None:
    info = await client.enqueue(Task("t", bytes(MAX_PAYLOAD)))
    assert len(info.payload) == MAX_PAYLOAD


async def test_the_limit_of_payloads_can_be_chosen(redis_url: str) -> None:
    async with Client(redis_url, max_payload=2) as client:
        await client.enqueue(Task("t", b"12"))
        with pytest.raises(OptionError, match="payload must be at most 2 bytes"):
            await client.enqueue(Task("t", b"123"))


async def test_headers_count_as_well(redis_url: str) -> None:
    async with Client(redis_url, max_payload=8) as client:
        task = Task("t", b"12", headers={"a": "é"})
        await client.enqueue(task, headers={"b": "12"})
        with pytest.raises(OptionError, match=r"at most 8 bytes with headers .* got 9$"):
            await client.enqueue(task, headers={"b": "123"})


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "1", None, 2**40])
def test_a_limit_of_payloads_that_cannot_work_is_refused(limit: object) -> None:
    with pytest.raises(OptionError, match=r"^max_payload must be a whole number from 1"):
        Client("redis://127.0.0.1:6379", max_payload=cast("int", limit))


async def test_the_text_of_a_refused_payload_shows_its_size_alone(redis_url: str) -> None:
    async with Client(redis_url, max_payload=2) as client:
        with pytest.raises(OptionError, match=r"got 6$"):
            await client.enqueue(Task("t", b"secret"))


async def test_something_else_than_a_task_is_refused(client: Client) -> None:
    with pytest.raises(OptionError, match=r"^task must be a Task \(.*: \.task\(…\)\), got 'email'"):
        await client.enqueue(cast("Task", "email"))


# -- enqueue_many ----------------------------------------------------------------------------------


async def test_a_batch_is_answered_task_by_task_in_order(client: Client) -> None:
    await client.enqueue(Task("t"), task_id="taken")
    await client.enqueue(Task("t"), unique=MINUTE)
    outcomes = await client.enqueue_many(
        [
            Task("a", task_id="1"),
            Task("b", task_id="taken"),
            Task("t", unique=MINUTE),
            Task("c", bytes(MAX_PAYLOAD + 1)),
            Task("d", task_id="2"),
        ]
    )
    assert [type(outcome) for outcome in outcomes] == [
        TaskInfo,
        TaskIDConflictError,
        DuplicateTaskError,
        OptionError,
        TaskInfo,
    ]
    assert ids(outcomes) == ["1", "2"]


async def test_a_batch_may_mix_queues_and_kinds(client: Client, r: Redis) -> None:
    outcomes = await client.enqueue_many(
        [
            Task("t", queue="a"),
            Task("t", queue="b", process_in=MINUTE),
            Task("t", queue="a", group="g"),
            Task("t", queue="b"),
        ]
    )
    assert [cast("TaskInfo", outcome).state for outcome in outcomes] == [
        "pending",
        "scheduled",
        "aggregating",
        "pending",
    ]
    assert await r.smembers("asynq:queues") == {b"a", b"b"}


async def test_a_batch_of_many_chunks_keeps_its_order(client: Client, r: Redis) -> None:
    names = [str(n) for n in range(2 * CHUNK + 1)]
    outcomes = await client.enqueue_many(Task("t", task_id=name) for name in names)
    assert ids(outcomes) == names
    assert await RedisQueue(r).pending_ids() == names


async def test_the_options_of_the_call_are_added_to_each_task(client: Client) -> None:
    outcomes = await client.enqueue_many([Task("t", max_retry=1), Task("t")], queue="q")
    assert [(info.queue, info.max_retry) for info in cast("list[TaskInfo]", outcomes)] == [
        ("q", 1),
        ("q", 25),
    ]


async def test_the_headers_of_the_call_are_merged_into_those_of_each_task(client: Client) -> None:
    tasks = [Task("t", headers={"a": "task", "b": "task"}), Task("t")]
    outcomes = await client.enqueue_many(tasks, headers={"a": "call"})
    assert [info.headers for info in cast("list[TaskInfo]", outcomes)] == [
        {"a": "call", "b": "task"},
        {"a": "call"},
    ]


async def test_the_same_id_twice_in_a_batch_is_a_conflict(client: Client) -> None:
    outcomes = await client.enqueue_many([Task("a", task_id="1"), Task("b", task_id="1")])
    assert [type(outcome) for outcome in outcomes] == [TaskInfo, TaskIDConflictError]


async def test_the_same_lock_twice_in_a_batch_is_a_duplicate(client: Client) -> None:
    outcomes = await client.enqueue_many([Task("a"), Task("a")], unique=MINUTE)
    assert [type(outcome) for outcome in outcomes] == [TaskInfo, DuplicateTaskError]


async def test_an_empty_batch_writes_nothing(client: Client, r: Redis) -> None:
    assert await client.enqueue_many([]) == []
    assert await r.dbsize() == 0


async def test_a_batch_of_nothing_but_bad_tasks_writes_nothing(redis_url: str, r: Redis) -> None:
    async with Client(redis_url, max_payload=1) as client:
        (outcome,) = await client.enqueue_many([Task("t", b"12")])
    assert isinstance(outcome, OptionError)
    assert await r.dbsize() == 0


async def test_a_batch_while_redis_is_away_answers_each_task_with_the_error() -> None:
    async with Client("unix:///nowhere/redis") as client:
        outcomes = await client.enqueue_many([Task("t"), Task("t")])
    assert [type(outcome) for outcome in outcomes] == [BrokerUnavailableError] * 2


# -- round trips -----------------------------------------------------------------------------------


async def test_calls_in_flight_together_share_a_round_trip(client: Client, r: Redis) -> None:
    await client.enqueue(Task("t"))
    before = await script_calls(r)
    infos = await asyncio.gather(*(client.enqueue(Task("t")) for _ in range(100)))
    assert len({info.id for info in infos}) == 100
    assert await script_calls(r) - before <= 2


async def test_calls_that_share_a_round_trip_get_their_own_answers(client: Client) -> None:
    outcomes = await asyncio.gather(
        client.enqueue(Task("a"), task_id="1"),
        client.enqueue(Task("b"), task_id="1"),
        client.enqueue(Task("c"), task_id="2"),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [TaskInfo, TaskIDConflictError, TaskInfo]


async def test_a_defect_is_raised_in_the_callers_and_does_not_stop_the_next(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = client._broker.creation

    async def break_down(_plans: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(path, "create", break_down)
        calls = [client.enqueue(Task("t")) for _ in range(2)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 2
    assert (await client.enqueue(Task("t"))).id


async def test_a_caller_that_gives_up_leaves_the_others_their_answers(client: Client) -> None:
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(partial(client.enqueue, Task("t"), task_id="1"))
            scope.cancel()
            await client.enqueue(Task("t"), task_id="2")
    with pytest.raises(TaskIDConflictError):
        await client.enqueue(Task("t"), task_id="1")


async def test_closing_waits_for_what_is_in_flight(redis_url: str, r: Redis) -> None:
    client = Client(redis_url)
    call = asyncio.create_task(client.enqueue(Task("t")))
    await asyncio.sleep(0)
    await client.aclose()
    assert (await call).id
    assert len(await RedisQueue(r).pending_ids()) == 1


# -- life ------------------------------------------------------------------------------------------


async def test_a_client_that_is_made_says_nothing_yet() -> None:
    async with Client("unix:///nowhere/redis"):
        pass


async def test_closing_twice_does_nothing(redis_url: str) -> None:
    client = Client(redis_url)
    await client.ping()
    await client.aclose()
    await client.aclose()


async def test_a_ping_is_answered(client: Client) -> None:
    await client.ping()


async def test_a_ping_in_vain_says_so() -> None:
    async with Client("unix:///nowhere/redis") as client:
        with pytest.raises(BrokerUnavailableError, match="Redis: "):
            await client.ping()


async def test_enqueueing_goes_on_when_redis_has_come_back() -> None:
    with RedisServer() as server:
        async with Client(server.url) as client:
            await client.enqueue(Task("t"))
            server.stop()
            with pytest.raises(BrokerUnavailableError):
                await client.enqueue(Task("t"))
            server.restart()
            assert await client.enqueue(Task("t"))


async def test_a_queue_is_registered_again_when_a_client_starts(redis_url: str, r: Redis) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t"))
    await r.srem("asynq:queues", "default")
    async with Client(redis_url) as client:
        await client.enqueue(Task("t"))
    assert await r.smembers("asynq:queues") == {b"default"}


def test_a_client_in_a_second_event_loop_says_what_is_wrong() -> None:
    client = Client("unix:///nowhere/redis")
    with pytest.raises(BrokerUnavailableError):
        asyncio.run(client.ping())
    with pytest.raises(LoopError, match=r"one Client, or the app, in each loop"):
        asyncio.run(client.ping())
    with pytest.raises(PyasynqError, match="or use a SyncClient"):
        asyncio.run(asyncio.wait_for(client.enqueue(Task("t")), 5))


def test_a_client_whose_broker_has_no_connections_serves_one_loop_after_another() -> None:
    broker = in_memory()
    client = Client(broker)
    asyncio.run(client.ping())
    assert asyncio.run(client.enqueue(Task("t")))
    asyncio.run(client.aclose())
    asyncio.run(broker.aclose())


async def test_calls_from_other_event_loops_are_made_in_that_of_the_client(redis_url: str) -> None:
    async def calls() -> list[str]:
        await client.ping()
        info = await client.enqueue(Task("t"))
        outcomes = await client.enqueue_many(Task("t") for _ in range(2))
        with pytest.raises(TimeoutError):
            await client.result(info, timeout=timedelta(0))
        return [info.type, *(outcome.type for outcome in outcomes if isinstance(outcome, TaskInfo))]

    async with Client(redis_url) as client:
        assert await asyncio.to_thread(lambda: asyncio.run(calls())) == ["t", "t", "t"]
        assert await client.enqueue(Task("t"))


async def test_the_result_of_a_step_is_awaited_from_another_event_loop(client: Client) -> None:
    gate = Flow("f").gate("gate", returns=int)
    info = await client.enqueue_flow(gate.flow)
    await client.signal(info, "gate", 7)
    assert await asyncio.to_thread(lambda: asyncio.run(client.result(gate))) == b"7"


async def test_a_client_closed_from_another_event_loop_is_closed(redis_url: str) -> None:
    client = await Client(redis_url).__aenter__()
    await client.enqueue(Task("t"))
    await asyncio.to_thread(lambda: asyncio.run(client.aclose()))
    with pytest.raises(ClientClosedError):
        await client.enqueue(Task("t"))


# -- without an event loop -------------------------------------------------------------------------


def test_a_sync_client_enqueues(sync_client: SyncClient) -> None:
    info = sync_client.enqueue(Task("t"), task_id="1", queue="q")
    assert (info.id, info.queue) == ("1", "q")


def test_a_sync_client_enqueues_many(sync_client: SyncClient) -> None:
    outcomes = sync_client.enqueue_many([Task("t"), Task("t")], task_id="1")
    assert [type(outcome) for outcome in outcomes] == [TaskInfo, TaskIDConflictError]


def test_a_sync_client_pings(sync_client: SyncClient) -> None:
    sync_client.ping()


def test_a_sync_client_raises_what_the_client_raises(sync_client: SyncClient) -> None:
    sync_client.enqueue(Task("t"), task_id="1")
    with pytest.raises(TaskIDConflictError):
        sync_client.enqueue(Task("t"), task_id="1")


def test_a_sync_client_refuses_a_bad_option(sync_client: SyncClient) -> None:
    with pytest.raises(OptionError, match="queue"):
        sync_client.enqueue(Task("t"), queue="")


def test_a_sync_client_refuses_a_bad_url_and_starts_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(OptionError, match="sqlite:// URL"):
        SyncClient("http://127.0.0.1")
    assert threading.active_count() == before


def test_a_sync_client_serves_many_threads(sync_client: SyncClient) -> None:
    with ThreadPoolExecutor(4) as threads:
        infos = list(threads.map(sync_client.enqueue, [Task("t")] * 40))
    assert len({info.id for info in infos}) == 40


async def test_a_sync_client_works_inside_a_running_loop(redis_url: str, r: Redis) -> None:
    with SyncClient(redis_url) as sync_client:
        assert sync_client.enqueue(Task("t")).id
    assert len(await RedisQueue(r).pending_ids()) == 1


def test_closing_a_sync_client_ends_its_thread(redis_url: str) -> None:
    before = threading.active_count()
    with SyncClient(redis_url) as sync_client:
        sync_client.ping()
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_calls_of_other_threads_are_answered_when_a_sync_client_is_closed(
    redis_url: str,
) -> None:
    clients = [SyncClient(redis_url) for _ in range(20)]
    with ThreadPoolExecutor(4 * len(clients)) as threads:
        calls = [threads.submit(enqueue_until_closed, client) for client in clients * 4]
        _ = [client.close() for client in clients]
        answers = [call.result(20) for call in calls]
    assert answers == ["closed"] * len(calls)


def test_a_call_that_was_accepted_before_a_sync_client_is_closed_is_written(
    redis_url: str,
) -> None:
    sync_client = SyncClient(redis_url)
    tasks = [Task("t")] * (8 * CHUNK)
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(sync_client.enqueue_many, tasks)
        calls = sync_client._calls
        asyncio.run(wait_until(lambda: bool(calls._thread and calls._thread._calls)))
        sync_client.close()
    assert len(ids(call.result())) == len(tasks)


def test_closing_a_sync_client_twice_does_nothing(redis_url: str) -> None:
    sync_client = SyncClient(redis_url)
    sync_client.close()
    sync_client.aclose()


def test_a_sync_client_whose_redis_is_away_says_so_and_closes() -> None:
    with SyncClient("unix:///nowhere/redis") as sync_client, pytest.raises(BrokerUnavailableError):
        sync_client.ping()


def test_a_closed_sync_client_says_that_it_is_closed(
    redis_url: str, recwarn: pytest.WarningsRecorder
) -> None:
    sync_client = SyncClient(redis_url)
    sync_client.close()
    with pytest.raises(ClientClosedError):
        sync_client.ping()
    assert list(recwarn) == []


async def test_a_closed_client_says_that_it_is_closed(redis_url: str) -> None:
    client = Client(redis_url)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await client.enqueue(Task("t"))
    with pytest.raises(ClientClosedError):
        await client.enqueue_many([Task("t")])


FORKING = """
import gc, os, sys
from pyasynq import SyncClient, Task
with SyncClient(sys.argv[1]) as client:
    client.enqueue(Task("before"))
    child = os.fork()
    if child == 0:
        client.enqueue(Task("child"))
        gc.collect()  # the parent must not lose what the child frees
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    client.enqueue(Task("parent"))
    sys.exit(status)
"""


async def test_a_sync_client_serves_both_sides_of_a_fork(redis_url: str, r: Redis) -> None:
    ignoring = ("-W", "ignore::DeprecationWarning")  # of forking with threads, as servers do
    process = await asyncio.create_subprocess_exec(
        sys.executable, *ignoring, "-c", FORKING, redis_url
    )
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert len(await RedisQueue(r).pending_ids()) == 3


async def test_one_task_is_no_batch(client: Client) -> None:
    with pytest.raises(OptionError, match="tasks must be a list of Tasks"):
        await client.enqueue_many(Task("t"))  # type: ignore[arg-type]


async def test_a_batch_with_something_else_in_it_is_refused_as_a_whole(
    client: Client, r: Redis
) -> None:
    with pytest.raises(OptionError, match=r"task must be a Task .*got 'no task'"):
        await client.enqueue_many([Task("t"), "no task"])  # type: ignore[list-item]
    assert await r.keys() == []


# -- results ---------------------------------------------------------------------------------------


async def test_a_result_is_awaited(client: Client, redis_url: str) -> None:
    async def handler(task: ActiveTask) -> None:
        await task.write_result(b"sent")

    async with Server(redis_url).running(handler):
        info = await client.enqueue(Task("t", retention=MINUTE))
        assert await client.result(info, timeout=MINUTE) == b"sent"


async def test_a_result_that_nobody_wrote_is_empty(client: Client, redis_url: str) -> None:
    async def handler(task: ActiveTask) -> None:
        assert task.id

    async with Server(redis_url).running(handler):
        info = await client.enqueue(Task("t", retention=MINUTE))
        assert await client.result(info, timeout=MINUTE) == b""


async def test_all_clients_that_wait_for_a_result_get_it_at_once(
    client: Client, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyasynq.client.results.SHORTEST_PAUSE_S", 30)
    monkeypatch.setattr("pyasynq.client.results.LONGEST_PAUSE_S", 30)
    go_on = anyio.Event()

    async def handler(task: ActiveTask) -> None:
        await go_on.wait()
        await task.write_result(b"sent")

    async with Server(redis_url).running(handler), Redis.from_url(redis_url) as r:
        info = await client.enqueue(Task("t", retention=MINUTE))
        waiting = [asyncio.create_task(client.result(info, timeout=MINUTE)) for _ in range(3)]

        async def blocked() -> bool:
            return (await r.info("clients"))["blocked_clients"] >= 2  # the worker and the client

        await wait_until(blocked)
        go_on.set()
        with anyio.fail_after(20):
            assert await asyncio.gather(*waiting) == [b"sent"] * 3


async def test_a_task_that_fails_for_good_has_no_result(client: Client, redis_url: str) -> None:
    async def handler(task: ActiveTask) -> None:
        raise SkipRetry(task.type)

    async with Server(redis_url).running(handler):
        info = await client.enqueue(Task("t", retention=MINUTE))
        with pytest.raises(TaskFailedError, match=r"failed: t$"):
            await client.result(info, timeout=MINUTE)


async def test_a_task_that_is_gone_has_no_result(client: Client, redis_url: str) -> None:
    info = await client.enqueue(Task("t"), queue="q")
    async with Inspector(redis_url) as inspector:
        await inspector.delete_task("q", info.id)
    with pytest.raises(ResultExpiredError, match="not, or no longer, in 'q'"):
        await client.result(info)


@pytest.mark.parametrize("queue", [None, "q"])
async def test_a_result_is_awaited_by_the_id_of_its_task(
    client: Client, redis_url: str, queue: str | None
) -> None:
    async def handler(task: ActiveTask) -> None:
        await task.write_result(b"sent")

    async with Server(redis_url, queues={"default": 1, "q": 1}).running(handler):
        info = await client.enqueue(Task("t", retention=MINUTE), queue=queue or "default")
        assert await client.result(info.id, queue=queue, timeout=MINUTE) == b"sent"


@pytest.mark.parametrize(
    ("named", "queue", "text"),
    [
        (7, None, "a TaskInfo .* or the id of a task, got 7"),
        (" ", None, "info must be non-blank text"),
        ("id", "", "queue must be non-blank text"),
    ],
)
async def test_a_result_needs_a_task_or_its_id(
    client: Client, named: str, queue: str | None, text: str
) -> None:
    with pytest.raises(OptionError, match=text):
        await client.result(named, queue=queue)


async def test_a_task_that_names_its_queue_is_not_looked_for_in_another(client: Client) -> None:
    info = await client.enqueue(Task("t"))
    with pytest.raises(OptionError, match="queue must be left out, or 'default' as the task says"):
        await client.result(info, queue="q")


async def test_a_result_is_not_awaited_forever(client: Client) -> None:
    info = await client.enqueue(Task("t", retention=MINUTE))
    with pytest.raises(TimeoutError):
        await client.result(info, timeout=timedelta(milliseconds=30))


def test_a_result_is_awaited_without_a_loop(sync_client: SyncClient) -> None:
    info = sync_client.enqueue(Task("t", retention=MINUTE))
    with pytest.raises(TimeoutError):
        sync_client.result(info, timeout=timedelta(milliseconds=30))


def test_a_sync_client_makes_calls_of_the_client_below(sync_client: SyncClient) -> None:
    info = sync_client.enqueue(Task("t"))
    stored = sync_client.call(lambda client: client.broker.inspection.task("default", info.id))
    assert stored is not None
    assert stored.id == info.id


async def test_a_wait_for_a_result_that_is_too_long_names_the_task(client: Client) -> None:
    info = await client.enqueue(Task("t", retention=MINUTE), task_id="1", queue="q")
    with pytest.raises(TimeoutError, match=r"task '1' of 'q' has not ended in time"):
        await client.result(info, timeout=timedelta(milliseconds=30))


async def test_a_wait_for_a_step_that_is_too_long_names_the_step(client: Client) -> None:
    gate = Flow("f", id="1").gate("gate")
    await client.enqueue_flow(gate.flow)
    with pytest.raises(TimeoutError, match="step 'gate' of flow '1' in 'default' has not ended"):
        await client.result(gate, timeout=timedelta(milliseconds=30))


async def test_the_queue_of_a_step_is_that_of_its_flow(client: Client) -> None:
    gate = Flow("f", queue="q").gate("gate")
    with pytest.raises(OptionError, match="queue must be left out, or 'q' as the flow says"):
        await client.result(gate, queue="other")


async def test_a_wait_for_a_result_is_a_timedelta(client: Client) -> None:
    info = await client.enqueue(Task("t", retention=MINUTE))
    with pytest.raises(OptionError, match="timeout must be a timedelta"):
        await client.result(info, timeout=cast("Any", 1))
