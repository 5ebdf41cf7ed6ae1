"""Settings that cannot work are refused when the server is made."""

import time
from contextlib import nullcontext
from datetime import timedelta

import pytest

from pyasynq import OptionError, Server
from pyasynq.server import ServerOptions
from pyasynq.server.config import default_threads

URL = "redis://127.0.0.1:6379"


async def never(*_: object) -> None:
    """Stand for a callback that would have to be awaited."""


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("concurrency", 0),
        ("concurrency", -1),
        ("concurrency", 2.5),
        ("concurrency", "10"),
        ("threads", 0),
        ("threads", 100_001),
        ("queues", {}),
        ("queues", {"": 1}),
        ("queues", {"a{b}": 1}),
        ("queues", {"default": 0}),
        ("queues", {"default": 1001}),
        ("concurrency", 100_001),
        ("lease", timedelta.max),
        ("shutdown_timeout", timedelta.max),
        ("health_check_interval", timedelta.max),
        ("blocked_warning", timedelta.max),
        ("server_id", " "),
        ("server_id", "x" * 256),
        ("replaces", ""),
        ("max_crashes", 0),
        ("max_crashes", 1001),
        ("unknown", "archive"),
        ("lease", timedelta(seconds=9)),
        ("shutdown_timeout", timedelta(seconds=-1)),
        ("health_check_interval", timedelta()),
        ("janitor_interval", timedelta()),
        ("delayed_task_check_interval", timedelta()),
        ("group_grace_period", timedelta(seconds=0.9)),
        ("group_max_delay", timedelta()),
        ("group_max_size", 0),
        ("group_max_size", 1001),
        ("group_max_failures", 0),
    ],
)
def test_a_setting_that_cannot_work_is_refused(option: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"^{option} must be"):
        Server(URL, **{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("queues", {"default": 1.5}),
        ("queues", {"default": "6"}),
        ("queues", ["default"]),
        ("lease", 30),
        ("shutdown_timeout", 8),
        ("health_check_interval", 15),
        ("janitor_interval", None),
        ("queues", {"default": True}),
        ("concurrency", True),
        ("server_id", None),
        ("server_id", 7),
        ("replaces", 7),
        ("strict_priority", "yes"),
        ("burst", 1),
        ("retry_delay", timedelta(seconds=1)),
        ("is_failure", True),
        ("retry_delay", never),
        ("is_failure", never),
        ("on_error", "print"),
        ("health_check", 5),
        ("lifespan", nullcontext()),
        ("lifespan", None),
        ("thread_context", nullcontext()),
        ("clock", time),
        ("janitor_batch_size", 0),
        ("group_aggregator", "digest"),
        ("group_grace_period", 60),
        ("group_max_delay", 60),
        ("group_max_size", "10"),
        ("blocked_warning", timedelta(seconds=-1)),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"^{option} must be"):
        Server(URL, **{option: value})  # type: ignore[arg-type]


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="concurency"):
        Server(URL, concurency=5)  # type: ignore[call-arg]


def test_an_invalid_broker_address_is_refused() -> None:
    with pytest.raises(OptionError, match=r"^broker must be"):
        Server("http://127.0.0.1")


async def test_a_server_without_handler_does_not_start() -> None:
    with pytest.raises(OptionError, match="a Mux or a function"):
        await Server(URL).run()


@pytest.mark.parametrize(
    ("given", "concurrency", "threads"),
    [
        ({}, 100, default_threads()),
        ({"concurrency": 7}, 7, 7),
        ({"threads": 7}, 100, 7),
        ({"concurrency": 7, "threads": 3}, 7, 3),
    ],
)
def test_by_default_there_are_as_many_threads_as_tasks_at_once(
    given: ServerOptions, concurrency: int, threads: int
) -> None:
    config = Server(URL, **given)._config
    assert (config.concurrency, config.threads) == (concurrency, threads)


def test_by_default_there_are_a_few_more_threads_than_cpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert default_threads() == 6
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert default_threads() == 32


def test_the_defaults_are_those_of_the_guides() -> None:
    config = Server(URL)._config
    assert config.queues == {"default": 1}
    assert (config.lease, config.max_crashes) == (timedelta(seconds=30), 3)
    assert config.shutdown_timeout == timedelta(seconds=8)
    assert config.health_check_interval == timedelta(seconds=15)
    assert config.group_grace_period == timedelta(minutes=1)
    assert (config.group_max_delay, config.group_max_size) == (None, None)
    assert config.group_max_failures == 5
