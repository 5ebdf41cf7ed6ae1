"""``pyasynq stats``: read all queues and Redis.

Source:
    Protocol section 10.2 (asynq v0.26.0 ``tools/asynq/cmd/stats.go``); the JSON is the same.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from pyasynq.cli import output
from pyasynq.cli.command_group import Command
from pyasynq.cli.options import STATES
from pyasynq.cli.queue_output import print_daily_counts, print_state_counts, sum_of
from pyasynq.cli.run_inspector import inspector_command

if TYPE_CHECKING:
    from pyasynq.core.info import QueueInfo
    from pyasynq.inspector import Inspector

_REDIS: Final = {
    "version": "redis_version",
    "uptime (days)": "uptime_in_days",
    "connections": "connected_clients",
    "memory usage": "used_memory_human",
    "peak memory usage": "used_memory_peak_human",
}
_CLUSTER: Final = {
    "State": "cluster_state",
    "Known Nodes": "cluster_known_nodes",
    "Cluster Size": "cluster_size",
}


@click.command(cls=Command)
@click.option("--json", "wants_json", is_flag=True, help="The same as -o json.")
@inspector_command()
async def stats(inspector: "Inspector", *, as_json: bool, wants_json: bool) -> None:
    """Show the counts of all queues, and Redis."""
    queues = [await inspector.queue_info(name) for name in sorted(await inspector.queues())]
    redis = await inspector.redis_info()
    now = datetime.now(UTC)
    if as_json or wants_json:
        output.print_json(_document(queues, redis, now))
    else:
        _print_stats(queues, redis, now)


def _print_stats(queues: "Sequence[QueueInfo]", redis: Mapping[str, str], now: datetime) -> None:
    print_state_counts(queues)
    output.print_data("")
    names = [f"{it.queue} (paused)" if it.paused else it.queue for it in queues]
    output.print_table(names, [[it.size for it in queues]], title="Task Count by Queue")
    output.print_data("")
    print_daily_counts(queues, now)
    output.print_data("")
    facts, title = (
        (_CLUSTER, "Redis Cluster Info") if "cluster_state" in redis else (_REDIS, "Redis Info")
    )
    output.print_table(list(facts), [[redis.get(name, "") for name in facts.values()]], title=title)


def _document(
    queues: "Sequence[QueueInfo]", redis: Mapping[str, str], now: datetime
) -> dict[str, object]:
    counts = {name: sum_of(queues, name) for name in (*STATES, "processed", "failed")}
    return {
        "aggregate": {**counts, "timestamp": now},
        "queues": [_queue_document(it) for it in queues],
        "redis": redis,
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
