"""A handler that blocks the event loop is named in a warning."""

import logging
import time
from datetime import timedelta
from typing import Any

import pytest

from pyasynq import ActiveTask, Client, Server, Task
from tests.server.handlers import Handler, run_burst
from tests.support.waiting import wait_until


async def block(_task: ActiveTask) -> None:
    time.sleep(0.6)  # noqa: ASYNC251 - the mistake under test


async def test_a_handler_that_blocks_the_loop_is_named_with_its_line(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True, blocked_warning=timedelta(seconds=0.2)), block)
    assert f"the handler of <ActiveTask 't' {info.id} in 'default'> has blocked" in caplog.text
    assert "time.sleep(0.6)" in caplog.text


def block_here(*_: object) -> timedelta:
    time.sleep(0.6)
    return timedelta()


async def block_in_async(*_: object) -> None:
    block_here()


@pytest.mark.parametrize(
    ("role", "function", "advice"),
    [
        ("retry_delay", block_here, "let it decide without waiting"),
        ("is_failure", block_here, "let it decide without waiting"),
        ("on_error", block_in_async, "use a plain def"),
    ],
)
async def test_a_callback_that_blocks_the_loop_is_named_and_not_the_handler(
    role: str,
    function: object,
    advice: str,
    client: Client,
    redis_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def warnings() -> list[str]:
        """Return the warnings about the user's code: a busy machine may cause others."""
        texts = [record.getMessage() for record in caplog.records]
        theirs = [text for text in texts if "has blocked" in text]
        return [text for text in theirs if not text.startswith("something outside")]

    await client.enqueue(Task("t"), max_retry=1)
    options: Any = {role: function, "blocked_warning": timedelta(seconds=0.2)}
    async with Server(redis_url, **options).running(Handler(ValueError())):
        await wait_until(warnings)
    (text,) = warnings()
    assert text.startswith(f"{role} ")
    assert advice in text


async def test_a_health_check_that_blocks_the_loop_is_named(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    warned = timedelta(seconds=0.2)
    server = Server(redis_url, health_check=block_in_async, blocked_warning=warned)
    async with server.running(Handler()):
        await wait_until(lambda: "has blocked" in caplog.text)
    assert "health_check has blocked the event loop" in caplog.text


async def test_a_plain_callback_blocks_nothing(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"))
    warned = timedelta(seconds=0.3)

    def on_error(*_: object) -> None:
        block_here()

    server = Server(redis_url, burst=True, on_error=on_error, blocked_warning=warned)
    await run_burst(server, Handler(ValueError()))
    assert "has blocked" not in caplog.text


async def test_one_block_gives_one_warning(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True, blocked_warning=timedelta(seconds=0.1)), block)
    assert caplog.text.count("time.sleep(0.6)") == 1


async def test_a_handler_that_waits_is_not_named(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"), timeout=timedelta(seconds=1))
    server = Server(redis_url, burst=True, blocked_warning=timedelta(seconds=0.5))
    await run_burst(server, Handler(hold=True))
    assert "has blocked" not in caplog.text


async def test_no_warning_comes_when_none_is_wanted(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"))
    with caplog.at_level(logging.WARNING):
        await run_burst(Server(redis_url, burst=True, blocked_warning=timedelta()), block)
    assert caplog.text == ""
