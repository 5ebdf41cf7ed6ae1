"""Settings for servers that are gone are forgotten after a day; see also `test_remote_control`."""

import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from pyasynq import Inspector, NotSupportedError, Server
from pyasynq.broker.redis import shared_keys
from tests.server.handlers import Handler
from tests.support.waiting import wait_until

DAY_S = 86_400


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    async with Inspector(redis_url) as inspector:
        yield inspector


async def want(r: Redis, target: str, *, ago_s: int, for_server: str = "true") -> None:
    """Want *target* to be quiet since *ago_s* seconds."""
    at_us = (int(time.time()) - ago_s) * 1_000_000
    value = f'{at_us} {{"value":"quiet","for_server":{for_server}}}'
    await r.hset(shared_keys.CONTROL, f"state:{target}", value)


async def test_what_was_wanted_of_a_server_that_is_gone_is_forgotten_after_a_day(
    inspector: Inspector, r: Redis
) -> None:
    await want(r, "gone", ago_s=DAY_S + 60)
    await want(r, "away", ago_s=DAY_S - 600)
    await want(r, "shop", ago_s=9 * DAY_S, for_server="false")
    assert [control.target for control in await inspector.controls()] == ["away", "shop"]
    assert sorted(await r.hkeys(shared_keys.CONTROL)) == [b"state:away", b"state:shop"]


async def test_what_is_wanted_of_a_running_server_stays_however_old_it_is(
    inspector: Inspector, r: Redis, redis_url: str
) -> None:
    async with Server(redis_url, server_id="s").running(Handler()):
        await wait_until(inspector.servers)
        await want(r, "s", ago_s=9 * DAY_S)
        await inspector.control("*", concurrency=5)
        assert [control.target for control in await inspector.controls()] == ["*", "s"]


async def test_a_broker_without_control_says_so(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(inspector._broker, "control")
    for call in (inspector.controls(), inspector.control("*", quiet=True)):
        with pytest.raises(NotSupportedError, match="control of servers"):
            await call
