"""Sealed tasks run on a worker that can open them, and wait for one otherwise."""

import re
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import (
    ActiveTask,
    App,
    Client,
    CodecError,
    Inspector,
    OptionError,
    Server,
    Task,
    TaskInfo,
    TaskState,
)
from pyasynq.core.codec import HEADER
from tests.server.handlers import run_burst
from tests.support.codecs import Envelope, Zlib
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)
CODECS = [Zlib(), Envelope()]


@pytest.fixture
async def sealing(redis_url: str) -> AsyncIterator[Client]:
    """Yield a client that seals."""
    async with Client(redis_url, codecs=CODECS) as client:
        yield client


class RecordingHandler:
    """A handler that records payload and headers, and writes a result."""

    def __init__(self) -> None:
        self.tasks: list[tuple[bytes, dict[str, str]]] = []

    async def __call__(self, task: ActiveTask) -> None:
        self.tasks.append((task.payload, dict(task.headers)))
        await task.write_result(b"paid " + task.payload)


async def fail(task: ActiveTask) -> None:
    raise ValueError


# -- client ----------------------------------------------------------------------------------------


async def test_the_payload_travels_sealed_and_is_shown_plain(
    sealing: Client, queue: QueueView
) -> None:
    info = await sealing.enqueue(Task("t", b"card 1234", headers={"k": "v"}))
    message = await queue.message(info.id)
    assert b"1234" not in message.payload
    assert dict(message.headers) == {"k": "v", HEADER: "zlib,envelope"}
    assert (info.payload, info.headers, info.sealed) == (b"card 1234", {"k": "v"}, "")


async def test_many_tasks_are_sealed(sealing: Client, queue: QueueView) -> None:
    answers = await sealing.enqueue_many([Task("t", b"card 1234")] * 2)
    ids = [answer.id for answer in answers if isinstance(answer, TaskInfo)]
    first, second = [(await queue.message(task_id)).payload for task_id in ids]
    assert b"1234" not in first
    assert first != second


async def test_a_task_without_payload_is_sealed_as_well(
    sealing: Client, redis_url: str, queue: QueueView
) -> None:
    info = await sealing.enqueue(Task("t"))
    assert (await queue.message(info.id)).payload != b""
    seen = RecordingHandler()
    await run_burst(Server(redis_url, codecs=CODECS, burst=True), seen)
    assert seen.tasks == [(b"", {})]


async def test_the_lock_is_that_of_the_plain_payload(
    sealing: Client, client: Client, queue: QueueView
) -> None:
    task = Task("t", b"p", unique=HOUR)
    sealed = await sealing.enqueue_many([task, task])
    plain = await client.enqueue_many([task])
    kinds = [type(answer).__name__ for answer in (*sealed, *plain)]
    assert kinds == ["TaskInfo", "DuplicateTaskError", "DuplicateTaskError"]


async def test_the_size_limit_applies_to_the_sealed_payload(redis_url: str) -> None:
    async with Client(redis_url, codecs=[Zlib()], max_payload=100) as client:
        await client.enqueue(Task("t", bytes(10_000)))
    async with Client(redis_url, codecs=[Envelope()], max_payload=100) as client:
        with pytest.raises(OptionError, match="at most 100 bytes with headers"):
            await client.enqueue(Task("t", bytes(90)))


async def test_only_a_task_that_a_codec_cannot_seal_is_refused(redis_url: str) -> None:
    class Picky(Zlib):
        def seal(self, payload: bytes, context: object) -> bytes:
            if payload == b"bad":
                msg = "too secret"
                raise ValueError(msg)
            return zlib.compress(payload)

    async with Client(redis_url, codecs=[Picky()]) as client:
        good, bad = await client.enqueue_many([Task("t", b"good"), Task("t", b"bad")])
        with pytest.raises(CodecError, match=r"cannot seal the payload .*: ValueError: too secret"):
            await client.enqueue(Task("t", b"bad"))
    assert isinstance(good, TaskInfo)
    assert isinstance(bad, CodecError)


async def test_a_payload_that_was_read_sealed_is_not_sealed_again(
    redis_url: str, queue: QueueView
) -> None:
    async with Client(redis_url, codecs=[Zlib()]) as client, Inspector(redis_url) as inspector:
        info = await client.enqueue(Task("t", b"p"))
        read = await inspector.task_info("default", info.id)
        again = await client.enqueue(Task(read.type, read.payload, headers=read.headers))
    assert (await queue.message(again.id)).payload == (await queue.message(info.id)).payload


# -- worker ----------------------------------------------------------------------------------------


async def test_a_handler_gets_the_opened_payload(
    sealing: Client, client: Client, redis_url: str
) -> None:
    await sealing.enqueue(Task("t", b"sealed", headers={"k": "v"}))
    await client.enqueue(Task("t", b"plain"))
    seen = RecordingHandler()
    await run_burst(Server(redis_url, codecs=CODECS, burst=True, concurrency=1), seen)
    assert seen.tasks == [(b"sealed", {"k": "v"}), (b"plain", {})]


async def test_a_result_is_sealed_as_its_task_is(
    sealing: Client, client: Client, redis_url: str, queue: QueueView
) -> None:
    sealed = await sealing.enqueue(Task("t", b"1234", retention=HOUR))
    plain = await client.enqueue(Task("t", b"1234", retention=HOUR))
    await run_burst(Server(redis_url, codecs=CODECS, burst=True), RecordingHandler())
    assert await queue.result(plain.id) == b"paid 1234"
    assert await queue.result(sealed.id) not in {None, b"paid 1234"}
    assert await sealing.result(sealed) == b"paid 1234"
    assert await sealing.result(plain) == b"paid 1234"
    with pytest.raises(CodecError, match="codec 'envelope' cannot open the result"):
        await client.result(sealed)


async def test_a_plain_function_writes_sealed_results(sealing: Client, redis_url: str) -> None:
    info = await sealing.enqueue(Task("t", b"p", retention=HOUR))

    def handle(task: ActiveTask) -> None:
        task.write_result_sync(task.payload * 2)

    await run_burst(Server(redis_url, codecs=CODECS, burst=True), handle)
    assert await sealing.result(info) == b"pp"


async def test_a_task_that_fails_stays_sealed(
    sealing: Client, redis_url: str, queue: QueueView
) -> None:
    info = await sealing.enqueue(Task("t", b"1234"))
    before = await queue.message(info.id)
    await run_burst(Server(redis_url, codecs=CODECS, burst=True), fail)
    after = await queue.message(info.id)
    assert (after.retried, after.payload) == (1, before.payload)
    assert dict(after.headers) == {HEADER: "zlib,envelope"}


@pytest.mark.parametrize(
    ("codecs", "why"),
    [
        ([], r"codec 'envelope' cannot open the payload of task '1' .*not among the codecs given"),
        ([Zlib(), Envelope(key=b"old")], r"codec 'envelope' cannot open .*ValueError: wrong key"),
    ],
    ids=["missing", "wrong key"],
)
async def test_a_task_that_cannot_be_opened_waits_and_spends_nothing(
    sealing: Client,
    redis_url: str,
    queue: RedisQueue,
    caplog: pytest.LogCaptureFixture,
    codecs: list[Zlib | Envelope],
    why: str,
) -> None:
    await sealing.enqueue_many([Task("t", task_id=n, max_retry=0) for n in "12"])
    seen, errors = RecordingHandler(), list[Exception]()
    await run_burst(
        Server(redis_url, codecs=codecs, burst=True, on_error=lambda _, e: errors.append(e)), seen
    )
    message = await queue.message("1")
    assert (seen.tasks, errors, message.retried) == ([], [], 0)
    assert re.match(why, message.error_msg)
    assert sorted(await queue.ids("retry")) == ["1", "2"]
    assert (await queue.fields("1"))["unknown_since"]
    warnings = [it.getMessage() for it in caplog.records if "wait 24 h" in it.getMessage()]
    assert len(warnings) == 1  # for the codec, not for each task


async def test_a_worker_that_can_open_it_runs_it_then(
    sealing: Client, redis_url: str, queue: QueueView
) -> None:
    await sealing.enqueue(Task("t", b"p", task_id="1", max_retry=0))
    seen = RecordingHandler()
    await run_burst(Server(redis_url, burst=True), seen)
    await queue.make_due("1")
    async with Server(redis_url, codecs=CODECS).running(seen):
        await wait_until(lambda: seen.tasks)
    assert seen.tasks == [(b"p", {})]


async def test_a_task_that_nobody_could_open_for_a_day_is_archived(
    sealing: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    await sealing.enqueue(Task("t", b"p", task_id="1"))
    await r.hset(queue.key("t:1"), mapping={"unknown_since": "1", "owner": ""})
    await run_burst(Server(redis_url, burst=True), RecordingHandler())
    assert await queue.ids("archived") == ["1"]
    assert "codec 'envelope'" in (await queue.message("1")).error_msg


async def test_an_error_about_another_task_is_a_failure_like_any_other(
    sealing: Client, client: Client, redis_url: str, queue: QueueView
) -> None:
    other = await sealing.enqueue(Task("t", b"p", retention=HOUR))
    await run_burst(Server(redis_url, codecs=CODECS, burst=True), RecordingHandler())
    info = await client.enqueue(Task("t"))

    async def read(task: ActiveTask) -> None:
        await client.result(other)

    await run_burst(Server(redis_url, burst=True), read)
    assert (await queue.message(info.id)).retried == 1


async def test_retry_delay_gets_the_opened_payload(sealing: Client, redis_url: str) -> None:
    await sealing.enqueue(Task("t", b"p", headers={"k": "v"}))
    seen: list[tuple[bytes | None, dict[str, str]]] = []

    def delay(_retried: int, _error: Exception, task: Task) -> timedelta:
        seen.append((task.payload, dict(task.headers)))
        return HOUR

    await run_burst(Server(redis_url, codecs=CODECS, burst=True, retry_delay=delay), fail)
    assert seen == [(b"p", {"k": "v"})]


# -- app -------------------------------------------------------------------------------------------


async def test_an_app_seals_and_opens_payloads(redis_url: str, queue: QueueView) -> None:
    app = App(redis_url, codecs=CODECS, burst=True)

    @app.task("double", retention=HOUR)
    async def double(number: int) -> int:
        return 2 * number

    async with app:
        info = await double.enqueue(21)
        assert (await queue.message(info.id)).headers[HEADER] == "zlib,envelope"
        await app.server().run()
        assert await app.client.result(info) == b"42"
    async with Inspector(redis_url, codecs=CODECS) as inspector:
        read = await inspector.task_info("default", info.id)
    assert (read.state, read.result) == (TaskState.COMPLETED, b"42")


async def test_a_value_that_is_no_codec_is_refused_where_it_is_given(redis_url: str) -> None:
    with pytest.raises(OptionError, match="codecs must be objects with name"):
        App(redis_url, codecs=["zlib"])  # type: ignore[list-item]
