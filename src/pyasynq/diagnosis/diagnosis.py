"""The checks of ``pyasynq doctor``: pure decisions about what it has read.

Those of a SQLite file are in `file_diagnosis`.
"""

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pyasynq.diagnosis.checks import Check, ok, problem, unknown, warning
from pyasynq.diagnosis.file_diagnosis import check_file

if TYPE_CHECKING:
    from pyasynq.broker import Heartbeat, NodeReport
    from pyasynq.core.info import QueueInfo, ServerInfo

OLDEST_REDIS: Final = (6, 2)
LARGEST_SKEW_S: Final = 2.0
"""Largest difference of two clocks that delays no task or tick noticeably, seconds."""

LATE_S: Final = 3.0
"""A server renews its record, which lives 10 s, every 5 s: with less left, a renewal is missing."""

NEARLY_FULL: Final = 0.8

MINUTE_S: Final = 60
MOST_NAMED: Final = 3
"""Schedulers, and types of entries, that a message names."""

SAVES: Final = ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
LOSSES: Final = {"always": "nothing", "everysec": "the last second of writes"}
"""What a crash loses, by the setting ``appendfsync``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerFinding:
    """A scheduler that runs, or that has ended without clearing its entries.

    Attributes:
        name: Its host and process id.
        ended_s: Seconds since it should have shown itself; None while it runs.
        left: Types of its entries that no running scheduler has; empty while it runs.
    """

    name: str
    ended_s: float | None = None
    left: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was read. None means that Redis did not permit it.

    Attributes:
        broker: Name of the broker.
        nodes: The report of Redis, of each primary of a cluster, or of SQLite.
        cluster: The report of the cluster; empty if there is none.
        forbidden: Commands that pyasynq needs and the user may not call, each with the reason.
        heartbeats: The heartbeats of servers, also of those that have stopped.
        servers: The running servers.
        schedulers: The running schedulers, and those that have ended lately without closing.
        queues: All queues.
    """

    broker: str
    nodes: "Sequence[NodeReport]"
    cluster: Mapping[str, str]
    forbidden: Mapping[str, str] | None
    heartbeats: "Sequence[Heartbeat] | None"
    servers: "Sequence[ServerInfo] | None"
    schedulers: Sequence[SchedulerFinding] | None
    queues: "Sequence[QueueInfo] | None"


def diagnose(found: Findings) -> list[Check]:
    """Return the results of all checks."""
    return [
        *(_check_sqlite(found) if found.broker == "SQLite" else _check_redis(found)),
        *check_queues(found.queues, found.servers),
        *check_heartbeats(found.heartbeats, found.broker),
        check_schedulers(found.schedulers),
    ]


def _check_sqlite(found: Findings) -> Iterator[Check]:
    for node in found.nodes:
        yield from check_file(node)


def _check_redis(found: Findings) -> Iterator[Check]:
    yield from check_cluster(found.cluster)
    for node in found.nodes:
        yield from _check_node(node)
    yield check_permissions(found.forbidden)


def check_cluster(report: Mapping[str, str]) -> Iterator[Check]:
    """Check the state of a cluster, if there is one."""
    if not report:
        return
    state, down = report.get("cluster_state", "unknown"), report.get("cluster_slots_fail", "0")
    if state == "ok" and down == "0":
        nodes, size = report.get("cluster_known_nodes", "?"), report.get("cluster_size", "?")
        message = f"{nodes} nodes, {size} primaries"
        yield ok("cluster", message, "cluster-ok", nodes=nodes, size=size)
    else:
        yield problem(
            "cluster",
            f"its state is {state}, {down} slots cannot be reached",
            "start the primaries that do not answer, or let replicas take over",
            "cluster-failed",
            state=state,
            down=down,
        )


def _check_node(node: "NodeReport") -> Iterator[Check]:
    """Check one Redis, or one primary of a cluster: then each message begins with its address."""
    where = f"{node.address}: " if node.address else ""
    for check in (check_version, check_role, check_clock, check_memory, check_persistence):
        result = check(node)
        yield replace(result, message=f"{where}{result.message}", node=node.address)


def check_version(node: "NodeReport") -> Check:
    """Check whether Redis is new enough."""
    if node.info is None:
        return unknown("redis")
    version = node.info.get("redis_version", "")
    name = f"Redis {version}"
    if "valkey_version" in node.info:
        name = f"Valkey {node.info['valkey_version']}, compatible with {name}"
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers >= OLDEST_REDIS:
        return ok("redis", name)
    advice = "upgrade Redis: 6.2 is the oldest that pyasynq supports"
    return problem("redis", f"{name} is too old", advice, "redis-old", name=name)


def check_role(node: "NodeReport") -> Check:
    """Check whether Redis takes writes."""
    if node.info is None:
        return unknown("role")
    if node.info.get("role") != "slave":
        return ok("role", "a primary: it takes writes", "role-primary")
    host, port = node.info.get("master_host"), node.info.get("master_port")
    advice = f"use the address of the primary, {host}:{port}, or a redis-sentinel:// URL"
    return problem(
        "role",
        "a replica: it takes no writes",
        advice,
        "role-replica",
        address=f"{host}:{port}",
    )


def check_clock(node: "NodeReport") -> Check:
    """Check whether the clock of Redis agrees with the clock of this machine."""
    if node.offset_s is None:
        return unknown("clock", "TIME is not permitted", "unknown-time")
    offset_s = abs(node.offset_s)
    if offset_s <= LARGEST_SKEW_S + node.round_trip_s:
        return ok("clock", "Redis and this machine agree", "clock-ok")
    direction = "ahead of" if node.offset_s > 0 else "behind"
    return warning(
        "clock",
        f"the clock of Redis is {offset_s:.1f} s {direction} that of this machine",
        "synchronize both (NTP): delayed tasks and ticks come early or late",
        "clock-ahead" if node.offset_s > 0 else "clock-behind",
        seconds=f"{offset_s:.1f}",
    )


def check_memory(node: "NodeReport") -> Check:
    """Check whether Redis may evict tasks, or will soon refuse them."""
    if node.info is None:
        return unknown("memory")
    policy = node.info.get("maxmemory_policy", "unknown")
    limit, used = int(node.info.get("maxmemory", 0)), int(node.info.get("used_memory", 0))
    if policy != "noeviction":
        message = f"maxmemory-policy is {policy}: when memory is full, tasks are deleted"
        report = problem if limit else warning
        return report(
            "memory",
            message,
            "CONFIG SET maxmemory-policy noeviction, and write it into redis.conf",
            "memory-evicts",
            policy=policy,
        )
    if limit and used >= NEARLY_FULL * limit:
        message = f"{used / limit:.0%} of maxmemory is used; a full Redis takes no more tasks"
        advice = "raise maxmemory, or delete completed and archived tasks"
        report = problem if used >= limit else warning
        return report("memory", message, advice, "memory-full", part=f"{used / limit:.0%}")
    if not limit:
        return ok("memory", "Redis evicts nothing; no maxmemory is set", "memory-unlimited")
    part = f"{used / limit:.0%}"
    message = f"Redis evicts nothing; {part} of maxmemory is used"
    return ok("memory", message, "memory-ok", part=part)


def check_persistence(node: "NodeReport") -> Check:
    """Check what a crash of Redis would lose."""
    if node.info is None:
        return unknown("persistence")
    if failed := [name for name in SAVES if node.info.get(name, "ok") != "ok"]:
        name, value = failed[0], node.info[failed[0]]
        return problem(
            "persistence",
            f"Redis could not save: {name} is {value}",
            "see the log of Redis: perhaps its disk is full",
            "persistence-failed",
            name=name,
            value=value,
        )
    if node.info.get("aof_enabled") == "1":
        setting = node.settings.get("appendfsync", "")
        lost = LOSSES.get(setting, "at most some seconds of writes")
        code = f"persistence-{setting if setting in LOSSES else 'no'}"
        return ok("persistence", f"append-only file; a crash loses {lost}", code)
    code, message = _without_log(node.settings.get("save"))
    advice = "CONFIG SET appendonly yes, and write it into redis.conf"
    return warning("persistence", message, advice, code)


def _without_log(saves: str | None) -> tuple[str, str]:
    """Return what a crash loses without an append-only file; *saves* is None if not permitted."""
    if saves is None:
        message = "no append-only file: a crash loses all writes since the last snapshot, if any"
        return "persistence-unknown", message
    if not saves:
        return "persistence-off", "Redis saves nothing: a restart loses all tasks"
    message = "snapshots only: a crash loses all writes since the last one"
    return "persistence-snapshots", message


def check_permissions(forbidden: Mapping[str, str] | None) -> Check:
    """Check whether the user may call all commands that pyasynq needs."""
    if forbidden is None:
        return unknown("permissions", "the commands could not be tried", "")
    if not forbidden:
        return ok("permissions", "all commands and scripts are permitted")
    commands: dict[str, list[str]] = {}
    for command, reason in sorted(forbidden.items()):
        commands.setdefault(reason, []).append(command)
    refused = [f"{', '.join(names)} ({reason})" for reason, names in commands.items()]
    advice = "give the user ~asynq:*, &asynq:* and these commands (ACL SETUSER)"
    return problem("permissions", f"not permitted: {'; '.join(refused)}", advice)


def check_queues(
    queues: "Sequence[QueueInfo] | None", servers: "Sequence[ServerInfo] | None"
) -> Iterator[Check]:
    """Check whether a worker serves each queue that has tasks, and whether a queue is paused."""
    if queues is None or servers is None:
        yield unknown("queues", "they cannot be read", "unknown-read")
        return
    waiting = {it.queue: it.pending + it.scheduled + it.retry + it.aggregating for it in queues}
    paused = [it.queue for it in queues if it.paused]
    idle = [
        found
        for queue, count in waiting.items()
        if count and (found := _check_idle(queue, count, servers))
    ]
    yield from idle
    for queue in paused:
        command = f"pyasynq queue resume {shlex.quote(queue)}"
        message = f"{queue!r} is paused"
        yield warning("queues", message, command, "queues-paused", queue=queue, command=command)
    if not idle and not paused:
        count = sum(waiting.values())
        message = f"{len(queues)} known, with {_format_tasks(count)} to run"
        yield ok("queues", message, "queues-ok", queues=len(queues), n=count)


def _check_idle(queue: str, waiting: int, servers: "Sequence[ServerInfo]") -> Check | None:
    """Return a warning if no server takes tasks of *queue*; None if one does."""
    of_queue = [server for server in servers if queue in server.queues]
    if any(server.takes_tasks for server in of_queue):
        return None
    if of_queue:
        message = (
            f"the workers of {queue!r}, which holds {_format_tasks(waiting)}, take no tasks: they "
            "are quiet, or stop"
        )
        advice = resume_advice(of_queue)
        return warning("queues", message, advice, "queues-quiet", queue=queue, n=waiting)
    message = f"no worker serves {queue!r}, which holds {_format_tasks(waiting)}"
    command = f"pyasynq worker module:app -Q {shlex.quote(queue)}"
    return warning(
        "queues",
        message,
        f"start a worker with this queue: {command}",
        "queues-unserved",
        queue=queue,
        n=waiting,
        command=command,
    )


def resume_advice(servers: "Sequence[ServerInfo]") -> str:
    """Return what to do if the *servers* of a queue take no tasks; Go's cannot be resumed."""
    ids = [server.id for server in servers if server.version is not None]
    if not ids:
        return "start another worker with this queue"
    return f"resume them, or start another worker: pyasynq server resume {shlex.join(ids)}"


def _format_tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def check_heartbeats(
    heartbeats: "Sequence[Heartbeat] | None", broker: str = "the broker"
) -> Iterator[Check]:
    """Check whether the servers of workers have sent their heartbeats in time."""
    if heartbeats is None:
        yield unknown("workers", "they cannot be read", "unknown-read")
        return
    late = [it for it in heartbeats if it.left_s < LATE_S]
    for it in late:
        code, state = ("stopped", "has stopped") if it.left_s < 0 else ("late", "is late")
        yield warning(
            "workers",
            f"the heartbeat of {it.server} {state}",
            f"it has crashed, hangs, or does not reach {broker}: see its log",
            f"workers-{code}",
            name=it.server,
            broker=broker,
        )
    if not late:
        yield _running("workers", len(heartbeats))


def _running(check: str, count: int) -> Check:
    if not count:
        return ok(check, "none is running", "none-running")
    return ok(check, f"{count} running", "running", n=count)


def check_schedulers(schedulers: Sequence[SchedulerFinding] | None) -> Check:
    """Check whether a scheduler has crashed, and no other has its entries.

    What a scheduler of Go had is not known; it counts only if no scheduler runs.
    """
    if schedulers is None:
        return unknown("schedulers", "they cannot be read", "unknown-read")
    running = [it for it in schedulers if it.ended_s is None]
    gone = [it for it in schedulers if it.ended_s is not None and (it.left or not running)]
    if not gone:
        return _running("schedulers", len(running))
    names, minutes = _format_some([it.name for it in gone]), _minutes(gone)
    message, code = f"ended without closing in the last {minutes} min: {names}", "schedulers-gone"
    left = _format_some(sorted({type for it in gone for type in it.left}))
    if left:
        message, code = f"{message}; no running one enqueues {left}", "schedulers-left"
    return warning(
        "schedulers",
        message,
        "start it again: pyasynq scheduler module:app; its log may say why it ended",
        code,
        names=names,
        minutes=minutes,
        types=left,
    )


def _minutes(gone: Sequence[SchedulerFinding]) -> int:
    """Return the minutes since the first one has *gone*, rounded up."""
    return math.ceil(max(it.ended_s or 0 for it in gone) / MINUTE_S)


def _format_some(names: Sequence[str]) -> str:
    return ", ".join([*names[:MOST_NAMED], *(["…"] if len(names) > MOST_NAMED else [])])
