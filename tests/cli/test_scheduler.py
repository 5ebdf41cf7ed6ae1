"""``pyasynq scheduler`` enqueues an app's periodic tasks until it is told to stop."""

import signal

from redis.asyncio import Redis

from tests.cli.workers import command
from tests.waiting import wait_until

APP = "tests.cli.apps:app"
PENDING = "asynq:{default}:pending"


async def test_periodic_tasks_are_enqueued(redis_url: str, r: Redis) -> None:
    async with command("scheduler", APP, "-u", redis_url) as process:
        await wait_until(lambda: r.llen(PENDING), 15)
        process.send(signal.SIGTERM)
        await process.says("SIGTERM: shutting down")
        assert await process.ends() == 0
    assert await r.exists("asynq:schedulers") == 0


async def test_settings_may_come_from_the_environment(redis_url: str, r: Redis) -> None:
    environ = {
        "PYASYNQ_URI": redis_url,
        "PYASYNQ_LOCATION": "Asia/Tokyo",
        "PYASYNQ_CATCH_UP": "all",
        "PYASYNQ_HEARTBEAT_INTERVAL": "100s",
    }
    async with command("scheduler", APP, environ=environ):
        await wait_until(lambda: r.keys("asynq:schedulers:*"), 15)
        (key,) = await r.keys("asynq:schedulers:*")
        assert 190 < await r.ttl(key) <= 200


async def test_an_interval_that_cannot_work_is_a_usage_error(redis_url: str) -> None:
    words = [APP, "-u", redis_url, "--heartbeat-interval", "1ms"]
    async with command("scheduler", *words) as process:
        assert "heartbeat_interval must be" in await process.says("pyasynq:")
        assert await process.ends() == 2
