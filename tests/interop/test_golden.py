"""Python reads and writes the same bytes and names as Go."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

import pyasynq
from pyasynq.core import option_texts
from pyasynq.core.errors import PoisonError
from pyasynq.core.message import TaskMessage, decode, encode
from tests.interop import golden
from tests.interop.gopeer import Peer

MESSAGES = golden.lines("messages")
WHOLE_TASKS = [
    line for line in MESSAGES if line["message"] == "TaskMessage" and "id" in line["fields"]
]


def named(line: dict[str, Any]) -> str:
    return str(line["name"])


def option_text(line: dict[str, Any]) -> str:
    return str(line["text"])


@pytest.mark.parametrize("line", MESSAGES, ids=named)
def test_a_record_becomes_the_bytes_go_makes(line: dict[str, Any]) -> None:
    assert golden.record(line).SerializeToString(deterministic=True).hex() == golden.hexed(line)


@pytest.mark.parametrize("line", MESSAGES, ids=named)
def test_the_bytes_go_makes_become_the_record(line: dict[str, Any]) -> None:
    data = bytes.fromhex(golden.hexed(line))
    assert golden.model(line).FromString(data) == golden.record(line)


@pytest.mark.parametrize("line", WHOLE_TASKS, ids=named)
def test_a_task_message_survives_the_way_there_and_back(line: dict[str, Any]) -> None:
    message = golden.record(line)
    assert isinstance(message, TaskMessage)
    assert decode(encode(message)) == message


def test_the_bytes_of_gos_client_are_a_task_message() -> None:
    [line] = golden.lines("client-messages")
    assert decode(bytes.fromhex(line["hex"])) == TaskMessage(
        type="t", payload=b"p", id="i", queue="q", retry=25, timeout=1800, headers={"a": "b"}
    )


@pytest.mark.parametrize(
    "data",
    [b"\xff", b"\x0a\x05ab", b"\x0a\x01\xff\x1a\x01i", b"not a message"],
    ids=["lone byte", "cut off", "text that is not UTF-8", "text"],
)
def test_bytes_that_go_cannot_read_are_poison(data: bytes) -> None:
    with pytest.raises(PoisonError):
        decode(data)


@pytest.mark.parametrize("line", golden.lines("unique-keys"))
async def test_a_unique_task_holds_the_lock_that_go_names(
    line: dict[str, Any], r: Redis, redis_url: str
) -> None:
    payload = msgspec.convert(line["payload"], bytes | None)
    task = pyasynq.Task(line["type"], payload, queue=line["queue"], unique=timedelta(minutes=1))
    async with pyasynq.Client(redis_url) as client:
        info = await client.enqueue(task)
    assert await r.get(line["key"]) == info.id.encode()


@pytest.mark.parametrize("line", golden.lines("options"), ids=option_text)
def test_an_option_becomes_the_text_go_makes(line: dict[str, Any]) -> None:
    assert option_texts.format_options(golden.options(line)) == [line["text"]]


@pytest.mark.parametrize("line", golden.lines("options"), ids=option_text)
def test_the_text_go_makes_becomes_the_option(line: dict[str, Any]) -> None:
    assert option_texts.parse_options([line["text"]]) == golden.options(line)


@pytest.mark.parametrize("name", ["messages", "options", "unique-keys", "client-messages", "cron"])
async def test_go_still_writes_what_the_golden_files_say(name: str, go_peer: Peer) -> None:
    written = [msgspec.json.decode(line) for line in await go_peer.call("vectors", name)]
    assert written == golden.lines(name)
