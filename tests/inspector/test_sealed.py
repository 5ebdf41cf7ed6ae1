"""An inspector opens payloads if it can, else shows them sealed, and seals changed ones alike."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import (
    Client,
    CodecError,
    DuplicateTaskError,
    Inspector,
    OptionError,
    Task,
    TaskInfo,
)
from pyasynq.core.codec import HEADER
from tests.support.codecs import Envelope, Zlib
from tests.support.queue_view import QueueView, RedisQueue

HOUR = timedelta(hours=1)
CODECS = [Zlib(), Envelope()]
SECRET = b"card 1234"


@pytest.fixture
async def sealing(redis_url: str) -> AsyncIterator[Client]:
    async with Client(redis_url, codecs=CODECS) as client:
        yield client


@pytest.fixture
async def opening(redis_url: str) -> AsyncIterator[Inspector]:
    async with Inspector(redis_url, codecs=CODECS) as inspector:
        yield inspector


@pytest.fixture
async def blind(redis_url: str) -> AsyncIterator[Inspector]:
    async with Inspector(redis_url) as inspector:
        yield inspector


@pytest.fixture
def queue(r: Redis) -> QueueView:
    return RedisQueue(r)


async def test_tasks_are_shown_opened(sealing: Client, opening: Inspector) -> None:
    info = await sealing.enqueue(Task("t", SECRET, headers={"k": "v"}))
    [listed] = await opening.list_tasks("default", "pending")
    for shown in (listed, await opening.task_info("default", info.id)):
        assert (shown.payload, shown.headers, shown.sealed) == (SECRET, {"k": "v"}, "")


async def test_tasks_that_cannot_be_opened_are_shown_sealed(
    sealing: Client, blind: Inspector, queue: QueueView
) -> None:
    info = await sealing.enqueue(Task("t", SECRET))
    travels = (await queue.message(info.id)).payload
    [listed] = await blind.list_tasks("default", "pending")
    for shown in (listed, await blind.task_info("default", info.id)):
        assert (shown.payload, shown.sealed) == (travels, "zlib,envelope")


async def test_plain_and_sealed_tasks_are_found_by_what_they_hold(
    sealing: Client, opening: Inspector, blind: Inspector, redis_url: str
) -> None:
    async with Client(redis_url) as client:
        plain = await client.enqueue(Task("t", SECRET))
    sealed = await sealing.enqueue(Task("t", SECRET))
    found = await opening.find_tasks("default", "pending", payload=b"1234")
    assert [task.id for task in found] == [plain.id, sealed.id]
    assert [t.id for t in await blind.find_tasks("default", "pending", payload=b"1234")] == [
        plain.id
    ]


async def test_a_new_payload_is_sealed_and_the_lock_goes_with_what_is_sealed(
    sealing: Client, opening: Inspector, queue: QueueView
) -> None:
    old, new = Task("t", b"old", unique=HOUR), Task("t", b"new", unique=HOUR)
    info = await sealing.enqueue(old, process_in=HOUR)
    changed = await opening.update_task("default", info.id, payload=b"new", headers={"k": "v"})
    message = await queue.message(info.id)
    assert (changed.payload, changed.headers) == (b"new", {"k": "v"})
    assert dict(message.headers) == {"k": "v", HEADER: "zlib,envelope"}
    assert message.payload != b"new"
    with pytest.raises(DuplicateTaskError):
        await sealing.enqueue(new)
    assert isinstance(await sealing.enqueue(old), TaskInfo)


async def test_a_task_that_cannot_be_sealed_alike_stays_as_it_is(
    sealing: Client, blind: Inspector, queue: QueueView
) -> None:
    info = await sealing.enqueue(Task("t", SECRET), process_in=HOUR)
    before = (await queue.message(info.id)).payload
    with pytest.raises(CodecError, match="codec 'zlib' cannot seal the payload"):
        await blind.update_task("default", info.id, payload=b"new")
    await blind.update_task("default", info.id, max_retry=1, headers={"k": "v"})
    message = await queue.message(info.id)
    assert (message.payload, message.retry) == (before, 1)
    assert dict(message.headers) == {"k": "v", HEADER: "zlib,envelope"}


async def test_something_else_than_a_codec_is_refused(redis_url: str) -> None:
    with pytest.raises(OptionError, match="codecs must be"):
        Inspector(redis_url, codecs=["zlib"])  # type: ignore[list-item]
