"""The limits of the program, while Redis comes and goes."""

from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from member import limits
from member.errors import LimitedError
from member.limits.rate import Rate
from services.member.tests.doubles import NO_RATES
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

RATES = replace(
    NO_RATES,
    create_member=Rate(burst=2, per=timedelta(hours=1)),
    resend=Rate(burst=10_000, per=timedelta(seconds=1)),
)


async def wait_of_sign_up(opened: limits.Limits, address: str) -> timedelta:
    """Count two sign-ups; return how long the third would have to wait."""
    await opened.create_member(address, "alice@example.com")
    await opened.create_member(address, "bob@example.com")
    with pytest.raises(LimitedError) as caught:
        await opened.create_member(address, "carol@example.com")
    return caught.value.retry_after


async def has_said(event: str, lines: list[EventDict], opened: limits.Limits) -> bool:
    await opened.resend("203.0.113.9", "alice@example.com")
    return event in [line["event"] for line in lines]


async def test_limits_outlive_a_stop_and_a_start_of_redis(redis: RedisServer) -> None:
    async with limits.open_limits(redis.url, RATES) as opened:
        await wait_of_sign_up(opened, "203.0.113.1")
        redis.stop()
        with capture_logs() as lines:
            await wait_of_sign_up(opened, "203.0.113.2")
            redis.start()
            await wait_until(lambda: has_said("limits are counted in Redis again", lines, opened))
        await wait_of_sign_up(opened, "203.0.113.3")
    with closing(redis.client()) as client:
        assert client.exists("member:{limits}:create:address:203.0.113.3")


async def test_limits_hold_in_the_process_if_redis_never_answered() -> None:
    async with limits.open_limits("unix:///nowhere/redis", RATES) as opened:
        assert await wait_of_sign_up(opened, "203.0.113.1") > timedelta(minutes=29)


async def test_with_sentinels_limits_hold_in_the_process_and_the_log_says_so() -> None:
    with capture_logs() as lines:
        async with limits.open_limits("redis-sentinel://127.0.0.1:1", RATES) as opened:
            await wait_of_sign_up(opened, "203.0.113.1")
    (line,) = lines
    assert line["event"] == "limits are counted only in this process"
    assert line["reason"] == "limits cannot be counted at redis-sentinel:// addresses"
