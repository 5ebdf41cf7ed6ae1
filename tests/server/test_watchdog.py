"""A handler that blocks the event loop is named."""

import logging
import time
from datetime import timedelta

import pytest

from pyasynq import ActiveTask, Client, Server, Task
from tests.server.handlers import Handler, work_off


async def block(_task: ActiveTask) -> None:
    time.sleep(0.6)  # noqa: ASYNC251 - the mistake this is about


async def test_a_handler_that_blocks_the_loop_is_named_with_its_line(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    info = await client.enqueue(Task("t"))
    await work_off(Server(redis_url, burst=True, blocked_warning=timedelta(seconds=0.2)), block)
    assert f"the handler of <ActiveTask 't' {info.id} in 'default'> has blocked" in caplog.text
    assert "time.sleep(0.6)" in caplog.text


async def test_one_block_is_warned_about_once(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"))
    await work_off(Server(redis_url, burst=True, blocked_warning=timedelta(seconds=0.1)), block)
    assert caplog.text.count("has blocked the event loop") == 1


async def test_a_handler_that_waits_is_not_named(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"), timeout=timedelta(seconds=1))
    server = Server(redis_url, burst=True, blocked_warning=timedelta(seconds=0.5))
    await work_off(server, Handler(held=True))
    assert "has blocked" not in caplog.text


async def test_no_warning_comes_when_none_is_wanted(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"))
    with caplog.at_level(logging.WARNING):
        await work_off(Server(redis_url, burst=True, blocked_warning=timedelta()), block)
    assert caplog.text == ""
