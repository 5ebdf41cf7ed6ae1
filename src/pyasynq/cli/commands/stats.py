"""``pyasynq stats``: read all queues and the broker.

Source:
    Protocol section 10.2 (asynq v0.26.0 ``tools/asynq/cmd/stats.go``); the JSON is the same.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from pyasynq.cli import output
from pyasynq.cli.command_group import Command
from pyasynq.cli.completions import complete_queues
from pyasynq.cli.option_types import DURATION
from pyasynq.cli.options import STATES
from pyasynq.cli.queue_output import print_daily_counts, print_state_counts, sum_of
from pyasynq.cli.run_inspector import inspector_command

if TYPE_CHECKING:
    from pyasynq.core.info import QueueInfo
    from pyasynq.core.run_stats import TypeStats
    from pyasynq.inspector import Inspector

_REDIS: Final = {
    "version": "redis_version",
    "uptime (days)": "uptime_in_days",
    "connections": "connected_clients",
    "memory usage": "used_memory_human",
    "peak memory usage": "used_memory_peak_human",
}
_SQLITE: Final = {
    "version": "sqlite_version",
    "file": "file",
    "bytes": "size",
    "unused bytes": "free",
    "bytes of the log": "log_size",
}
_CLUSTER: Final = {
    "State": "cluster_state",
    "Known Nodes": "cluster_known_nodes",
    "Cluster Size": "cluster_size",
}

_TYPE_HEADINGS: Final = (
    *("Type", "Runs", "Per Min", "Failed", "Archived"),
    *("Run p50", "p95", "p99", "Wait p50", "p95", "p99"),
)
HOUR: Final = timedelta(hours=1)
_UNITS: Final = ((60.0, "min"), (1.0, "s"), (0.001, "ms"))


@click.command(cls=Command)
@click.option("--json", "wants_json", is_flag=True, help="The same as -o json.")
@click.option("--types", is_flag=True, help="Show what ran lately, by type of task.")
@click.option(
    "--last",
    **DURATION,
    help="How far --types looks back, at most 72h; 1h when not given.",
)
@click.option(
    "-q", "--queue", help="Only this queue, with --types.", shell_complete=complete_queues
)
@inspector_command()
async def stats(
    inspector: "Inspector",
    *,
    as_json: bool,
    wants_json: bool,
    types: bool,
    last: timedelta | None,
    queue: str | None,
) -> None:
    """Show the counts of all queues, and the broker; or what ran lately."""
    if not types and (last is not None or queue is not None):
        msg = "--last and --queue are for --types"
        raise click.UsageError(msg)
    if types:
        last = HOUR if last is None else last
        stats = await inspector.type_stats(queue, last=last)
        _print_types(stats, last, as_json=as_json or wants_json)
        return
    queues = [await inspector.queue_info(name) for name in sorted(await inspector.queues())]
    broker = await inspector.broker_info()
    now = datetime.now(UTC)
    if as_json or wants_json:
        output.print_json(_document(queues, broker, now))
    else:
        _print_stats(queues, broker, now)


def _print_types(stats: "Sequence[TypeStats]", last: timedelta, *, as_json: bool) -> None:
    """Print throughput, failures, and percentiles of run time and wait."""
    output.print_json_or_table(
        stats,
        _TYPE_HEADINGS,
        [
            [
                one.type,
                one.succeeded + one.failed,
                f"{(one.succeeded + one.failed) / (last.total_seconds() / 60):.1f}",
                one.failed,
                one.archived,
                *map(_format_time, (one.run_p50, one.run_p95, one.run_p99)),
                *map(_format_time, (one.wait_p50, one.wait_p95, one.wait_p99)),
            ]
            for one in stats
        ],
        empty="No runs in this time",
        as_json=as_json,
    )


def _format_time(time: timedelta | None) -> str:
    """Return a time with one digit after the point, in the largest unit that fits."""
    if time is None:
        return ""
    seconds = time.total_seconds()
    size, unit = next((it for it in _UNITS if seconds >= it[0]), _UNITS[-1])
    return f"{seconds / size:.1f} {unit}"


def _print_stats(queues: "Sequence[QueueInfo]", broker: Mapping[str, str], now: datetime) -> None:
    print_state_counts(queues)
    output.print_data("")
    names = [f"{it.queue} (paused)" if it.paused else it.queue for it in queues]
    output.print_table(names, [[it.size for it in queues]], title="Task Count by Queue")
    output.print_data("")
    print_daily_counts(queues, now)
    output.print_data("")
    facts, title = _REDIS, "Redis Info"
    if "sqlite_version" in broker:
        facts, title = _SQLITE, "SQLite Info"
    elif "cluster_state" in broker:
        facts, title = _CLUSTER, "Redis Cluster Info"
    cells = [broker.get(name, "") for name in facts.values()]
    output.print_table(list(facts), [cells], title=title)


def _document(
    queues: "Sequence[QueueInfo]", broker: Mapping[str, str], now: datetime
) -> dict[str, object]:
    counts = {name: sum_of(queues, name) for name in (*STATES, "processed", "failed")}
    return {
        "aggregate": {**counts, "timestamp": now},
        "queues": [_queue_document(it) for it in queues],
        "sqlite" if "sqlite_version" in broker else "redis": broker,
    }


def _queue_document(info: "QueueInfo") -> dict[str, object]:
    return {
        "Queue": info.queue,
        "MemoryUsage": info.memory_usage,
        "Paused": info.paused,
        "Size": info.size,
        "Groups": info.groups,
        **{state.capitalize(): getattr(info, state) for state in STATES},
        "Processed": info.processed,
        "Failed": info.failed,
        "ProcessedTotal": info.processed_total,
        "FailedTotal": info.failed_total,
        "Latency": round(info.latency.total_seconds() * 1e9),
        "Timestamp": info.timestamp,
    }
