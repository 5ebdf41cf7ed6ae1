"""The checks of ``pyasynq doctor`` decide what is wrong."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pyasynq import QueueInfo, ServerInfo
from pyasynq.broker import Heartbeat, NodeReport
from pyasynq.diagnosis import diagnosis
from pyasynq.diagnosis.diagnosis import Check, SchedulerFinding
from tests.support.factories import a_server

SERVER = ServerInfo(
    id="s",
    host="h",
    pid=1,
    concurrency=1,
    queues={"served": 1},
    strict_priority=False,
    started=None,
    status="active",
)


def make_node(info: Mapping[str, str], settings: Mapping[str, str] | None = None) -> NodeReport:
    """Return the report of a Redis whose clock is right."""
    return NodeReport(
        address="", info=info, settings=settings or {}, offset_s=0.0, round_trip_s=0.0
    )


SILENT = NodeReport(address="", info=None, settings={}, offset_s=None, round_trip_s=0.0)


def make_queue(name: str, *, paused: bool = False, pending: int = 0) -> QueueInfo:
    """Return a queue with *pending* tasks."""
    return QueueInfo(
        queue=name,
        timestamp=datetime.now(UTC),
        size=pending,
        pending=pending,
        active=0,
        scheduled=0,
        retry=0,
        archived=0,
        completed=0,
        aggregating=0,
        groups=0,
        processed=0,
        failed=0,
        processed_total=0,
        failed_total=0,
        paused=paused,
        latency=timedelta(),
        memory_usage=0,
    )


@pytest.mark.parametrize(
    ("info", "status"),
    [
        ({"redis_version": "6.2.0"}, "ok"),
        ({"redis_version": "7.0.15"}, "ok"),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.0"}, "ok"),
        ({"redis_version": "6.0.16"}, "problem"),
        ({"redis_version": "5.0"}, "problem"),
    ],
)
def test_a_redis_that_is_too_old_is_a_problem(info: Mapping[str, str], status: str) -> None:
    assert diagnosis.check_version(make_node(info)).status == status


def test_valkey_is_called_by_its_name() -> None:
    node = make_node({"redis_version": "7.2.4", "valkey_version": "8.1.0"})
    assert diagnosis.check_version(node).message == "Valkey 8.1.0, compatible with Redis 7.2.4"


def test_a_replica_is_a_problem_whose_advice_is_the_primary() -> None:
    check = diagnosis.check_role(
        make_node({"role": "slave", "master_host": "h", "master_port": "1"})
    )
    assert (check.status, "the primary, h:1" in check.advice) == ("problem", True)
    assert diagnosis.check_role(make_node({"role": "master"})).status == "ok"


@pytest.mark.parametrize(
    ("offset_s", "round_trip_s", "status"),
    [
        (0.5, 0.0, "ok"),
        (-2.0, 0.0, "ok"),
        (3.0, 0.0, "warning"),
        (-60.0, 0.0, "warning"),
        (3, 2, "ok"),
    ],
)
def test_clocks_that_differ_are_a_warning(
    offset_s: float, round_trip_s: float, status: str
) -> None:
    node = msgspec.structs.replace(make_node({}), offset_s=offset_s, round_trip_s=round_trip_s)
    assert diagnosis.check_clock(node).status == status


@pytest.mark.parametrize(
    ("policy", "limit", "used", "status"),
    [
        ("noeviction", "0", "50", "ok"),
        ("noeviction", "100", "79", "ok"),
        ("noeviction", "100", "80", "warning"),
        ("noeviction", "100", "95", "warning"),
        ("noeviction", "100", "101", "problem"),
        ("allkeys-lru", "0", "50", "warning"),
        ("allkeys-lru", "100", "50", "problem"),
        ("volatile-ttl", "100", "50", "problem"),
    ],
)
def test_a_redis_that_evicts_or_is_full_is_no_place_for_tasks(
    policy: str, limit: str, used: str, status: str
) -> None:
    node = make_node({"maxmemory_policy": policy, "maxmemory": limit, "used_memory": used})
    assert diagnosis.check_memory(node).status == status


@pytest.mark.parametrize(
    ("info", "settings", "status", "text"),
    [
        ({"aof_enabled": "1"}, {"appendfsync": "always"}, "ok", "loses nothing"),
        ({"aof_enabled": "1"}, {"appendfsync": "everysec"}, "ok", "the last second"),
        ({"aof_enabled": "1"}, {}, "ok", "at most some seconds"),
        ({"aof_enabled": "0"}, {"save": "3600 1"}, "warning", "since the last one"),
        ({"aof_enabled": "0"}, {}, "warning", "the last snapshot, if any"),
        ({"aof_enabled": "0"}, {"save": ""}, "warning", "a restart loses all tasks"),
        ({"rdb_last_bgsave_status": "err"}, {}, "problem", "rdb_last_bgsave_status is err"),
        ({"aof_enabled": "1", "aof_last_write_status": "err"}, {}, "problem", "could not save"),
    ],
)
def test_what_a_crash_would_lose_is_told(
    info: Mapping[str, str], settings: Mapping[str, str], status: str, text: str
) -> None:
    check = diagnosis.check_persistence(make_node(info, settings))
    assert (check.status, text in check.message) == (status, True)


@pytest.mark.parametrize(
    "check",
    [
        diagnosis.check_version,
        diagnosis.check_role,
        diagnosis.check_clock,
        diagnosis.check_memory,
        diagnosis.check_persistence,
    ],
)
def test_what_is_not_permitted_is_unknown(check: Callable[[NodeReport], Check]) -> None:
    assert check(SILENT).status == "unknown"


def test_commands_that_are_not_permitted_are_named_by_their_reasons() -> None:
    check = diagnosis.check_permissions({"ZADD": "no", "HSET": "no", "PUBLISH": "other"})
    assert check.status == "problem"
    assert check.message == "not permitted: HSET, ZADD (no); PUBLISH (other)"


@pytest.mark.parametrize(("forbidden", "status"), [({}, "ok"), (None, "unknown")])
def test_commands_that_are_permitted_are_well(
    forbidden: Mapping[str, str] | None, status: str
) -> None:
    assert diagnosis.check_permissions(forbidden).status == status


@pytest.mark.parametrize(
    ("queue", "found"),
    [
        (make_queue("served", pending=3), [("ok", "1 known, with 3 tasks to run")]),
        (make_queue("other"), [("ok", "1 known, with 0 tasks to run")]),
        (
            make_queue("other", pending=1),
            [("warning", "no worker serves 'other', which holds 1 task")],
        ),
        (make_queue("served", paused=True), [("warning", "'served' is paused")]),
    ],
)
def test_a_queue_that_nobody_works_on_is_a_warning(
    queue: QueueInfo, found: list[tuple[str, str]]
) -> None:
    checks = diagnosis.check_queues([queue], [SERVER])
    assert [(check.status, check.message) for check in checks] == found


def test_the_advice_about_a_queue_without_worker_is_a_whole_command() -> None:
    [check] = diagnosis.check_queues([make_queue("other", pending=1)], [])
    assert check.advice.endswith(": pyasynq worker module:app -Q other")


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        ("1", "resume them, or start another worker: pyasynq server resume s"),
        (None, "start another worker with this queue"),
    ],
)
def test_a_queue_whose_workers_take_no_tasks_is_a_warning(version: str | None, advice: str) -> None:
    quiet = a_server("s", queues={"q": 1}, status="stopped", version=version)
    [check] = diagnosis.check_queues([make_queue("q", pending=2)], [quiet])
    assert (check.status, check.advice) == ("warning", advice)
    assert check.message == (
        "the workers of 'q', which holds 2 tasks, take no tasks: they are quiet, or stop"
    )


def test_the_advice_about_a_paused_queue_quotes_its_name_for_the_shell() -> None:
    [check] = diagnosis.check_queues([make_queue("a b", paused=True)], [])
    assert check.advice == "pyasynq queue resume 'a b'"


@pytest.mark.parametrize(
    ("left_s", "status"), [(9.0, "ok"), (5.0, "ok"), (2.0, "warning"), (-1.0, "warning")]
)
def test_a_worker_whose_heartbeat_is_late_is_a_warning(left_s: float, status: str) -> None:
    [check] = diagnosis.check_heartbeats([Heartbeat(server="h:1:s", left_s=left_s)])
    assert check.status == status


RUNS = SchedulerFinding(name="h:1")
GONE = SchedulerFinding(name="h:2", ended_s=130.0, left=["a", "b"])


@pytest.mark.parametrize(
    ("schedulers", "status", "message"),
    [
        ([], "ok", "none is running"),
        ([RUNS, RUNS], "ok", "2 running"),
        ([RUNS, replace(GONE, left=[])], "ok", "1 running"),
        ([replace(GONE, left=[])], "warning", "ended without closing in the last 3 min: h:2"),
        (
            [RUNS, GONE, replace(GONE, name="h:3", ended_s=9.4, left=["a", "c", "d"])],
            "warning",
            "ended without closing in the last 3 min: h:2, h:3; no running one enqueues a, b, c, …",
        ),
    ],
)
def test_a_scheduler_that_has_crashed_is_a_warning_unless_another_has_its_entries(
    schedulers: list[SchedulerFinding], status: str, message: str
) -> None:
    check = diagnosis.check_schedulers(schedulers)
    assert (check.status, check.message) == (status, message)


@pytest.mark.parametrize(
    ("about", "statuses"),
    [
        ({}, []),
        ({"cluster_state": "ok", "cluster_slots_fail": "0"}, ["ok"]),
        ({"cluster_state": "fail", "cluster_slots_fail": "5"}, ["problem"]),
        ({"cluster_state": "ok", "cluster_slots_fail": "5"}, ["problem"]),
    ],
)
def test_a_cluster_without_some_of_its_slots_is_a_problem(
    about: Mapping[str, str], statuses: list[str]
) -> None:
    assert [check.status for check in diagnosis.check_cluster(about)] == statuses


def test_each_primary_of_a_cluster_is_named() -> None:
    found = diagnosis.Findings(
        broker="Redis",
        nodes=[
            NodeReport(address=it, info=None, settings={}, offset_s=None, round_trip_s=0)
            for it in "ab"
        ],
        cluster={},
        forbidden={},
        heartbeats=[],
        servers=[],
        schedulers=[],
        queues=[],
    )
    messages = [check.message for check in diagnosis.diagnose(found) if check.check == "memory"]
    assert messages == ["a: INFO is not permitted", "b: INFO is not permitted"]


def test_what_cannot_be_read_is_unknown() -> None:
    checks: list[Check] = [
        *diagnosis.check_queues(None, None),
        *diagnosis.check_heartbeats(None),
        diagnosis.check_schedulers(None),
    ]
    assert [check.status for check in checks] == ["unknown"] * 3
