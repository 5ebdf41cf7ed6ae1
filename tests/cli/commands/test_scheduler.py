"""``pyasynq scheduler`` enqueues an app's periodic tasks until a stop signal."""

import signal
from datetime import UTC, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from redis.asyncio import Redis

from pyasynq.cli.commands.scheduler import make_scheduler, scheduler
from pyasynq.core.policy import ENDED_S
from pyasynq.scheduler.config import Config
from tests.cli import apps
from tests.cli.processes import command
from tests.support.queue_view import RedisQueue
from tests.support.waiting import wait_until

APP = "tests.cli.apps:app"


def make_config(redis_url: str, *args: str) -> Config:
    """Return the settings of the scheduler that the command makes from *args*."""
    given = scheduler.make_context("scheduler", [APP, *args]).params
    options = {name: given[name] for name in ("location", "catch_up", "heartbeat_interval")}
    return make_scheduler(apps.app, redis_url, **options)._config


async def test_periodic_tasks_are_enqueued(redis_url: str, r: Redis) -> None:
    async with command("scheduler", APP, "-u", redis_url) as process:
        await wait_until(RedisQueue(r).pending_ids)
        process.send(signal.SIGTERM)
        await process.wait_for_line("the scheduler starts: unix://")
        await process.wait_for_line("SIGTERM: shutting down")
        await process.wait_for_line("the scheduler has stopped")
        assert await process.wait_for_end() == 0
    assert await r.exists("asynq:schedulers") == 0


async def test_settings_may_come_from_the_environment(redis_url: str, r: Redis) -> None:
    environ = {
        "PYASYNQ_URI": redis_url,
        "PYASYNQ_LOCATION": "Asia/Tokyo",
        "PYASYNQ_CATCH_UP": "all",
        "PYASYNQ_HEARTBEAT_INTERVAL": "100s",
    }
    async with command("scheduler", APP, environ=environ):
        await wait_until(lambda: r.keys("asynq:schedulers:*"))
        (key,) = await r.keys("asynq:schedulers:*")
        assert 190 < await r.ttl(key) - ENDED_S <= 200


def test_every_option_of_a_scheduler_is_passed_on(redis_url: str) -> None:
    config = make_config(
        redis_url, *("--location", "Asia/Tokyo", "--catch-up", "all", "--heartbeat-interval", "1m")
    )
    assert (config.location, config.catch_up) == (ZoneInfo("Asia/Tokyo"), "all")
    assert config.heartbeat_interval == timedelta(minutes=1)


def test_what_a_scheduler_is_not_told_is_what_the_guide_says(redis_url: str) -> None:
    config = make_config(redis_url)
    assert (config.location, config.catch_up) == (UTC, "skip")
    assert config.heartbeat_interval == timedelta(seconds=10)


async def test_an_interval_that_cannot_work_is_a_usage_error(redis_url: str) -> None:
    args = [APP, "-u", redis_url, "--heartbeat-interval", "1ms"]
    async with command("scheduler", *args) as process:
        assert "--heartbeat-interval must be" in await process.wait_for_line("pyasynq scheduler:")
        assert await process.wait_for_end() == 2


async def test_a_scheduler_ends_whatever_its_app_left_behind(
    redis_url: str, tmp_path: Path
) -> None:
    source = f"""
import threading, time
from pyasynq import App

app = App({redis_url!r})
threading.Thread(target=time.sleep, args=[60]).start()
"""
    (tmp_path / "lingering.py").write_text(source)
    async with command("scheduler", "lingering:app", cwd=tmp_path) as process:
        await process.wait_for_line("the scheduler starts")
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0
