"""What ``pyasynq doctor`` makes of what it finds: pure decisions, one function for each check."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from pyasynq.broker import Heartbeat, NodeReport
    from pyasynq.core.info import QueueInfo, ServerInfo

Status: TypeAlias = Literal["ok", "unknown", "warning", "problem"]

OLDEST_REDIS: Final = (6, 2)
LARGEST_SKEW_S: Final = 2.0
"""Difference of clocks from which on delays and ticks come noticeably early or late, seconds."""

LATE_S: Final = 3.0
"""A server shows itself every 5 s, for 10 s: with less than this left, one beat has not come."""

NEARLY_FULL: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check.

    Attributes:
        check: What was checked.
        status: What came of it.
        message: What was found.
        advice: What to do; empty if there is nothing to do.
    """

    check: str
    status: Status
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found.

    Attributes:
        nodes: What Redis, or each primary of a cluster, reports.
        cluster: What the cluster reports of itself; empty if there is none.
        forbidden: Commands that are needed and not permitted, with the reason; None where nothing
            could be tried.
        heartbeats: The servers of tasks that have shown themselves; None if they cannot be read,
            as for the next two.
        servers: Those that are listed.
        queues: All queues.
    """

    nodes: "Sequence[NodeReport]"
    cluster: Mapping[str, str]
    forbidden: Mapping[str, str] | None
    heartbeats: "Sequence[Heartbeat] | None"
    servers: "Sequence[ServerInfo] | None"
    queues: "Sequence[QueueInfo] | None"


def diagnose(found: Findings) -> list[Check]:
    """Return the results of all checks."""
    return [
        *check_cluster(found.cluster),
        *(check for node in found.nodes for check in _check_node(node)),
        check_permissions(found.forbidden),
        *check_queues(found.queues, found.servers),
        *check_heartbeats(found.heartbeats),
    ]


def check_cluster(about: Mapping[str, str]) -> Iterator[Check]:
    """Check the state of a cluster, if there is one."""
    if not about:
        return
    state, down = about.get("cluster_state", "unknown"), about.get("cluster_slots_fail", "0")
    if state == "ok" and down == "0":
        nodes, size = about.get("cluster_known_nodes"), about.get("cluster_size")
        yield Check(check="cluster", status="ok", message=f"{nodes} nodes, {size} primaries")
        return
    yield Check(
        check="cluster",
        status="problem",
        message=f"its state is {state}, {down} slots cannot be reached",
        advice="start the primaries that do not answer, or let replicas take over",
    )


def _check_node(node: "NodeReport") -> Iterator[Check]:
    """Check one Redis, or one primary of a cluster, whose address is then part of the message."""
    checks: Sequence[Callable[[NodeReport], Check]] = (
        check_version,
        check_role,
        check_clock,
        check_memory,
        check_persistence,
    )
    for check in checks:
        result = check(node)
        where = f"{node.address}: " if node.address else ""
        yield Check(
            check=result.check,
            status=result.status,
            message=f"{where}{result.message}",
            advice=result.advice,
        )


def _unknown(check: str, what: str = "INFO") -> Check:
    return Check(check=check, status="unknown", message=f"{what} is not permitted")


def check_version(node: "NodeReport") -> Check:
    """Check whether Redis is new enough."""
    if node.info is None:
        return _unknown("redis")
    version = node.info.get("redis_version", "")
    named = f"Redis {version}"
    if "valkey_version" in node.info:
        named = f"Valkey {node.info['valkey_version']}, compatible with {named}"
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers >= OLDEST_REDIS:
        return Check(check="redis", status="ok", message=named)
    return Check(
        check="redis",
        status="problem",
        message=f"{named} is too old",
        advice="upgrade Redis: 6.2 is the oldest that pyasynq supports",
    )


def check_role(node: "NodeReport") -> Check:
    """Check whether Redis takes writes."""
    if node.info is None:
        return _unknown("role")
    if node.info.get("role") != "slave":
        return Check(check="role", status="ok", message="a primary: it takes writes")
    host, port = node.info.get("master_host"), node.info.get("master_port")
    return Check(
        check="role",
        status="problem",
        message="a replica: it takes no writes",
        advice=f"use the address of the primary, {host}:{port}, or a redis-sentinel:// URL",
    )


def check_clock(node: "NodeReport") -> Check:
    """Check whether the clock of Redis is that of this machine."""
    if node.offset_s is None:
        return _unknown("clock", "TIME")
    offset_s = abs(node.offset_s)
    if offset_s <= LARGEST_SKEW_S + node.round_trip_s:
        return Check(check="clock", status="ok", message="Redis and this machine agree")
    word = "ahead of" if node.offset_s > 0 else "behind"
    return Check(
        check="clock",
        status="warning",
        message=f"the clock of Redis is {offset_s:.1f} s {word} that of this machine",
        advice="synchronize both (NTP): delayed tasks and ticks come early or late",
    )


def check_memory(node: "NodeReport") -> Check:
    """Check whether Redis may evict tasks, or refuses them soon."""
    if node.info is None:
        return _unknown("memory")
    policy = node.info.get("maxmemory_policy", "unknown")
    limit, used = int(node.info.get("maxmemory", 0)), int(node.info.get("used_memory", 0))
    if policy != "noeviction":
        return Check(
            check="memory",
            status="problem" if limit else "warning",
            message=f"maxmemory-policy is {policy}: when memory is full, tasks are deleted",
            advice="set maxmemory-policy to noeviction",
        )
    if limit and used >= NEARLY_FULL * limit:
        return Check(
            check="memory",
            status="problem" if used >= limit else "warning",
            message=f"{used / limit:.0%} of maxmemory is used; a full Redis takes no more tasks",
            advice="raise maxmemory, or delete completed and archived tasks",
        )
    part = f"{used / limit:.0%} of maxmemory is used" if limit else "no maxmemory is set"
    return Check(check="memory", status="ok", message=f"Redis evicts nothing; {part}")


def check_persistence(node: "NodeReport") -> Check:
    """Check what a crash of Redis would lose."""
    if node.info is None:
        return _unknown("persistence")
    if failed := [name for name in _SAVES if node.info.get(name, "ok") != "ok"]:
        return Check(
            check="persistence",
            status="problem",
            message=f"Redis could not save: {failed[0]} is {node.info[failed[0]]}",
            advice="see the log of Redis: perhaps its disk is full",
        )
    if node.info.get("aof_enabled") == "1":
        lost = _LOST.get(node.settings.get("appendfsync", ""), "at most some seconds of writes")
        message = f"append-only file; a crash loses {lost}"
        return Check(check="persistence", status="ok", message=message)
    saves = node.settings.get("save")
    if saves == "":
        message = "Redis saves nothing: a restart loses all tasks"
    else:
        message = "snapshots alone: a crash loses all writes since the last one"
    return Check(
        check="persistence",
        status="warning",
        message=message,
        advice="set appendonly to yes, and in redis.conf as well",
    )


_SAVES: Final = ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
_LOST: Final = {"always": "nothing", "everysec": "the last second of writes"}


def check_permissions(forbidden: Mapping[str, str] | None) -> Check:
    """Check whether all commands are permitted."""
    if forbidden is None:
        text = "the commands could not be tried"
        return Check(check="permissions", status="unknown", message=text)
    if not forbidden:
        message = "all commands and scripts are permitted"
        return Check(check="permissions", status="ok", message=message)
    commands: dict[str, list[str]] = {}
    for command, reason in sorted(forbidden.items()):
        commands.setdefault(reason, []).append(command)
    refused = [f"{', '.join(names)} ({reason})" for reason, names in commands.items()]
    return Check(
        check="permissions",
        status="problem",
        message=f"not permitted: {'; '.join(refused)}",
        advice="give the user ~asynq:*, &asynq:* and these commands (ACL SETUSER)",
    )


def check_queues(
    queues: "Sequence[QueueInfo] | None", servers: "Sequence[ServerInfo] | None"
) -> Iterator[Check]:
    """Check whether somebody works on each queue that has tasks."""
    if queues is None or servers is None:
        yield Check(check="queues", status="unknown", message="they cannot be read")
        return
    served = {queue for server in servers for queue in server.queues}
    waiting = {it.queue: it.pending + it.scheduled + it.retry + it.aggregating for it in queues}
    idle = [queue for queue, count in waiting.items() if count and queue not in served]
    paused = [it.queue for it in queues if it.paused]
    for queue in idle:
        yield Check(
            check="queues",
            status="warning",
            message=f"no worker serves {queue!r}, which holds {_tasks(waiting[queue])}",
            advice=f"start a worker with this queue: pyasynq worker -Q {queue}",
        )
    for queue in paused:
        yield Check(
            check="queues",
            status="warning",
            message=f"{queue!r} is paused",
            advice=f"pyasynq queue resume {queue}",
        )
    if not idle and not paused:
        message = f"{len(queues)} known, with {_tasks(sum(waiting.values()))} to run"
        yield Check(check="queues", status="ok", message=message)


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def check_heartbeats(heartbeats: "Sequence[Heartbeat] | None") -> Iterator[Check]:
    """Check whether workers show themselves as often as they should."""
    if heartbeats is None:
        yield Check(check="workers", status="unknown", message="they cannot be read")
        return
    late = [it for it in heartbeats if it.left_s < LATE_S]
    for it in late:
        gone = it.left_s < 0
        yield Check(
            check="workers",
            status="warning",
            message=f"the heartbeat of {it.server} {'has stopped' if gone else 'is late'}",
            advice="it has crashed, hangs, or does not reach Redis: see its log",
        )
    if not late:
        message = f"{len(heartbeats)} running" if heartbeats else "none is running"
        yield Check(check="workers", status="ok", message=message)
