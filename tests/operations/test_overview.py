"""The overview computes rates and alerts from what was read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from pyasynq import QueueInfo
from pyasynq.diagnosis.checks import ok, problem, unknown, warning
from pyasynq.operations.overview import (
    Alert,
    Past,
    Reading,
    broker_alerts,
    overview,
    queue_alerts,
    queue_rows,
)
from tests.support.factories import a_server

NOON = datetime(2040, 1, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NOTHING = Past(before=None, minute=None, minutes_ago=None, hours={})


def a_queue(name: str = "q", /, **fields: object) -> QueueInfo:
    numbers = dict.fromkeys(QueueInfo.__dataclass_fields__, 0)
    known = {"queue": name, "timestamp": NOON, "paused": False, "latency": timedelta()}
    return QueueInfo(**cast("Any", numbers | known | fields))


def a_reading(*queues: QueueInfo, at: datetime = NOON, served: bool = True) -> Reading:
    servers = [a_server("s", queues=dict.fromkeys([it.queue for it in queues], 1))] * served
    return Reading(at=at, queues=queues, servers=servers)


def rates(before: QueueInfo, now: QueueInfo) -> tuple[object, ...]:
    earlier = a_reading(replace(before, timestamp=NOON - 2 * SECOND), at=NOON - 2 * SECOND)
    past = Past(before=earlier, minute=earlier, minutes_ago=None, hours={})
    [row] = queue_rows(a_reading(now), past)
    return row["in_per_s"], row["out_per_s"], row["failed_per_min"]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({}, {}, (0, 0, 0)),
        ({}, {"pending": 10}, (5, 0, 0)),
        ({"pending": 10}, {"processed_total": 10}, (0, 5, 0)),
        ({"pending": 10}, {"completed": 10, "processed_total": 10}, (0, 5, 0)),
        ({"pending": 4}, {"retry": 4, "processed_total": 4, "failed_total": 4}, (0, 2, 120)),
        ({"active": 4}, {"archived": 4, "processed_total": 4, "failed_total": 4}, (0, 2, 120)),
        ({"archived": 4}, {}, (0, 0, 0)),
        ({"processed_total": 9}, {"processed_total": 1}, (0, 0, 0)),  # the queue was deleted
    ],
)
def test_rates_are_those_since_the_reading_before(
    before: dict[str, int], now: dict[str, int], expected: tuple[float, ...]
) -> None:
    assert rates(a_queue(**before), a_queue(**now)) == expected


def test_the_first_reading_has_no_rates() -> None:
    document = overview(a_reading(a_queue()), NOTHING)
    totals = cast("dict[str, object]", document["totals"])
    assert [totals[name] for name in ("in_per_s", "out_per_s", "queues", "servers")] == [
        None,
        None,
        1,
        1,
    ]


def test_a_queue_knows_its_servers_and_its_last_hour() -> None:
    past = replace(NOTHING, hours={"a": [1, 2]})
    a, b = queue_rows(a_reading(a_queue("a"), a_queue("b")), past)
    assert (a["servers"], a["slots"], a["hour"]) == (1, 4, [1, 2])
    assert b["hour"] is None


def test_a_server_that_takes_no_tasks_does_not_serve() -> None:
    servers = [
        a_server("a", status="stopped", active_worker_count=3),
        a_server("b", queues={"other": 1}),
    ]
    document = overview(Reading(at=NOON, queues=[a_queue()], servers=servers), NOTHING)
    [row] = cast("list[dict[str, object]]", document["queues"])
    assert (row["servers"], row["slots"], row["quiet"]) == (0, 0, 1)
    totals = cast("dict[str, object]", document["totals"])
    assert (totals["servers"], totals["quiet"], totals["slots"], totals["busy"]) == (2, 1, 7, 3)


def alerts(now: Reading, earlier: Reading | None = None) -> list[str]:
    return [alert.id for alert in queue_alerts(now, earlier)]


@pytest.mark.parametrize("state", ["pending", "scheduled", "retry", "aggregating"])
def test_a_queue_whose_tasks_nobody_will_run_is_an_alert(state: str) -> None:
    reading = a_reading(a_queue(**{state: 1}), served=False)
    assert alerts(reading) == ["queue-without-worker:q"]
    assert alerts(replace_servers(reading)) == []


def test_a_queue_whose_workers_take_no_tasks_is_an_alert_that_says_how_to_resume_them() -> None:
    servers = [
        a_server("go", status="stopped"),
        a_server("a b", status="stopped", version="1"),
    ]
    [alert] = queue_alerts(Reading(at=NOON, queues=[a_queue(pending=1)], servers=servers), None)
    assert (alert.id, alert.level) == ("queue-quiet:q", "warning")
    assert alert.advice.endswith(": pyasynq server resume 'a b'")
    servers.append(a_server("c"))
    assert alerts(Reading(at=NOON, queues=[a_queue(pending=1)], servers=servers)) == []


def replace_servers(reading: Reading) -> Reading:
    return a_reading(*reading.queues)


@pytest.mark.parametrize("state", ["active", "archived", "completed"])
def test_a_queue_without_tasks_to_run_needs_no_worker(state: str) -> None:
    assert alerts(a_reading(a_queue(**{state: 1}), served=False)) == []


@pytest.mark.parametrize(
    ("before_s", "now_s", "paused", "expected"),
    [
        (0, 59, False, []),
        (50, 99, False, []),
        (40, 120, False, ["wait-grows:q"]),
        (40, 120, True, []),
    ],
)
def test_a_wait_that_grows_is_an_alert(
    before_s: int,
    now_s: int,
    paused: bool,  # noqa: FBT001
    expected: list[str],
) -> None:
    earlier = a_reading(a_queue(latency=before_s * SECOND), at=NOON - 600 * SECOND)
    now = a_reading(a_queue(latency=now_s * SECOND, paused=paused))
    assert alerts(now, earlier) == expected


@pytest.mark.parametrize(("grown", "expected"), [(99, []), (100, ["archive-grows:q"])])
def test_an_archive_that_grows_is_an_alert(grown: int, expected: list[str]) -> None:
    earlier = a_reading(a_queue(archived=5), at=NOON - 600 * SECOND)
    assert alerts(a_reading(a_queue(archived=5 + grown)), earlier) == expected


def test_an_alert_says_what_happened_in_which_time() -> None:
    earlier = a_reading(a_queue(latency=30 * SECOND), at=NOON - 600 * SECOND)
    [alert] = queue_alerts(a_reading(a_queue(latency=timedelta(minutes=14))), earlier)
    assert alert.message == "the oldest wait grew from 30 s to 14 min in 10 min"


def test_checks_of_the_broker_that_fail_are_alerts() -> None:
    checks = [
        ok("redis", "Redis 7"),
        unknown("role"),
        warning("clock", "it is late", "synchronize", "clock-late", seconds="3"),
        problem("memory", "it is full", "raise it"),
        warning("queues", "no worker", "start one"),  # the overview sees that each second
    ]
    clock, memory = broker_alerts(checks)
    assert clock == Alert(
        id="check:clock",
        level="warning",
        subject="clock",
        queue=None,
        message="it is late",
        advice="synchronize",
        code="clock-late",
        values={"seconds": "3"},
    )
    assert (memory.id, memory.level) == ("check:memory", "problem")


def test_a_name_in_an_advice_can_be_pasted_into_a_shell() -> None:
    queue = replace(a_queue("a b;c"), pending=1)
    [alert] = queue_alerts(a_reading(queue, served=False), None)
    assert alert.advice == "pyasynq worker module:app -Q 'a b;c'"
