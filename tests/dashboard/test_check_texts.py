"""The pages have words of their own for what checks found; in English those of the checks."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

import pyasynq.dashboard
from pyasynq.broker import Heartbeat, NodeReport
from pyasynq.diagnosis import diagnosis, file_diagnosis
from pyasynq.diagnosis.checks import Check
from pyasynq.diagnosis.diagnosis import SchedulerFinding
from pyasynq.operations.overview import queue_alerts
from tests.diagnosis.test_diagnosis import make_queue
from tests.operations.test_overview import NOON, a_queue, a_reading
from tests.support.factories import a_server

TEXTS = Path(pyasynq.dashboard.__file__).parent / "static/texts"
ENGLISH = json.loads((TEXTS / "en.json").read_text())

REDIS = {
    "redis_version": "7.0.15",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "maxmemory": "100",
    "used_memory": "5",
}
FILE = {
    "sqlite_version": "3.45.1",
    "size": "2000",
    "free": "0",
    "mode": "640",
    "writable": "yes",
    "network_filesystem": "",
    "disk_free": "900",
    "disk_reserve": "100",
    "log_size": "10",
}
GONE = SchedulerFinding(name="h:1", ended_s=70.0)


def a_node(
    info: Mapping[str, str] | None = None,
    *,
    settings: Mapping[str, str] | None = None,
    offset_s: float | None = 0.0,
) -> NodeReport:
    """Return the report of a Redis; with an empty ``redis_version`` it permits no INFO."""
    about = {**REDIS, **(info or {})}
    return NodeReport(
        address="",
        info=about if about["redis_version"] else None,
        settings=settings or {},
        offset_s=offset_s,
        round_trip_s=0.0,
    )


def a_file(setting: str = "full", **info: str) -> NodeReport:
    return NodeReport(
        address="",
        info=FILE | info,
        settings={"synchronous": setting},
        offset_s=0.0,
        round_trip_s=0.0,
    )


def of_redis() -> Iterator[Check]:
    yield from diagnosis.check_cluster({"cluster_state": "ok", "cluster_slots_fail": "0"})
    yield from diagnosis.check_cluster({"cluster_state": "fail", "cluster_slots_fail": "3"})
    yield diagnosis.check_version(a_node({"redis_version": "6.0.1"}))
    yield diagnosis.check_role(a_node())
    yield diagnosis.check_role(a_node({"role": "slave", "master_host": "h", "master_port": "1"}))
    for offset_s in (0.0, 9.0, -9.0, None):
        yield diagnosis.check_clock(a_node(offset_s=offset_s))
    yield diagnosis.check_memory(a_node({"redis_version": ""}))
    for about in (
        {"maxmemory_policy": "allkeys-lru"},
        {"used_memory": "85"},
        {"used_memory": "100"},
        {"maxmemory": "0"},
        {},
    ):
        yield diagnosis.check_memory(a_node(about))
    yield diagnosis.check_persistence(a_node({"aof_last_write_status": "err"}))
    for setting in ("always", "everysec", "no"):
        log = a_node({"aof_enabled": "1"}, settings={"appendfsync": setting})
        yield diagnosis.check_persistence(log)
    for settings in ({}, {"save": ""}, {"save": "60 1"}):
        yield diagnosis.check_persistence(a_node(settings=settings))


def of_queues_and_servers() -> Iterator[Check]:
    quiet = a_server(queues={"q": 1}, status="stopped", version="1")
    yield from diagnosis.check_queues(None, None)
    yield from diagnosis.check_queues([], [])
    for count in (1, 2):
        yield from diagnosis.check_queues([make_queue("q", pending=count)], [a_server()])
        yield from diagnosis.check_queues([make_queue("q", pending=count)], [quiet])
        yield from diagnosis.check_queues([make_queue("q", pending=count)], [])
    yield from diagnosis.check_queues([make_queue("q", paused=True)], [])
    for left_s in (9.0, 1.0, -1.0):
        beat = Heartbeat(server="h:1:s", left_s=left_s)
        yield from diagnosis.check_heartbeats([beat], "Redis")
    yield from diagnosis.check_heartbeats([], "Redis")
    yield diagnosis.check_schedulers([GONE])
    yield diagnosis.check_schedulers([SchedulerFinding(name="h:1", ended_s=1.0, left=["t"])])


def of_sqlite() -> Iterator[Check]:
    for about in (
        {"sqlite_version": "3.51.3"},
        {"writable": "no"},
        {"mode": "666"},
        {"network_filesystem": "nfs"},
        {"disk_free": "300"},
        {"disk_free": "30"},
        {"log_size": f"{2**30}"},
        {},
    ):
        yield from file_diagnosis.check_file(a_file(**about))
    for setting in ("accept", "normal"):
        yield from file_diagnosis.check_file(a_file(setting))


CHECKS = [*of_redis(), *of_queues_and_servers(), *of_sqlite()]


def fill(text: str, values: Mapping[str, object]) -> str:
    """Return *text* with its values, as the pages do."""

    def value(match: re.Match[str]) -> str:
        name, one, several = match.groups()
        if one is None:
            return str(values[name])
        return one if values[name] == 1 else several

    return re.sub(r"\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}", value, text)


def texts(prefix: str) -> dict[str, str]:
    """Return the English texts that begin with *prefix*, by what follows it."""
    found = {key.partition(prefix): text for key, text in ENGLISH.items()}
    return {name: text for (before, prefix_, name), text in found.items() if prefix_ and not before}


CODED = list({check.message: check for check in CHECKS if check.code}.values())
ADVISED = [check for check in CODED if check.advice]


@pytest.mark.parametrize("check", CODED, ids=lambda check: check.message)
def test_english_pages_say_what_the_check_says(check: Check) -> None:
    assert fill(ENGLISH[f"doctor_{check.code}"], check.values) == check.message


@pytest.mark.parametrize("check", ADVISED, ids=lambda check: check.message)
def test_english_pages_give_the_advice_of_the_check(check: Check) -> None:
    advices = texts("advice_")
    advice = advices.get(check.code, advices.get(check.check, check.advice))
    assert fill(advice, check.values) == check.advice


def test_there_is_a_text_for_each_code_and_no_other() -> None:
    assert {check.code for check in CODED} == set(texts("doctor_"))
    names = {check.check for check in ADVISED} | {check.code for check in ADVISED}
    assert set(texts("advice_")) <= names


def test_what_has_no_code_is_only_a_name() -> None:
    assert {check.message for check in CHECKS if not check.code} == {"SQLite 3.51.3"}


def test_each_check_has_a_name_in_every_language() -> None:
    assert {check.check for check in CHECKS} == set(texts("checkname_"))


def test_pages_give_the_advice_of_alerts_about_trends() -> None:
    ten_minutes = timedelta(minutes=10)
    earlier = a_reading(a_queue(), at=NOON - ten_minutes)
    now = a_reading(a_queue(latency=ten_minutes, archived=1000))
    advices = {alert.id.partition(":")[0]: alert.advice for alert in queue_alerts(now, earlier)}
    assert set(advices) == {"wait-grows", "archive-grows"}
    assert {kind: ENGLISH[f"alert_{kind}_advice"] for kind in advices} == advices
