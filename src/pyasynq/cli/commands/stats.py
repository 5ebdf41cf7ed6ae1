"""``pyasynq stats``: all queues and Redis at one look.

Source:
    Protocol section 10.2 (asynq v0.26.0 ``tools/asynq/cmd/stats.go``); the JSON is the same.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from pyasynq.cli import output
from pyasynq.cli.command_group import Command
from pyasynq.cli.options import STATES, output_option
from pyasynq.cli.redis_options import RedisOptions, redis_options
from pyasynq.cli.run_inspector import inspect

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
_NANOSECOND: Final = timedelta(microseconds=1) / 1000


@click.command(cls=Command)
@click.option("--json", "wants_json", is_flag=True, help="The same as -o json.")
@output_option()
@redis_options
def stats(*, redis: RedisOptions, as_json: bool, wants_json: bool) -> int:
    """Show all queues and Redis at one look."""

    async def job(inspector: "Inspector") -> None:
        infos = [await inspector.queue_info(queue) for queue in sorted(await inspector.queues())]
        facts = await inspector.redis_info()
        now = datetime.now(UTC)
        if as_json or wants_json:
            output.json(_document(infos, facts, now))
        else:
            _print_stats(infos, facts, now)

    return inspect(redis, job)


def _print_stats(infos: "Sequence[QueueInfo]", redis: Mapping[str, str], now: datetime) -> None:
    total = _total(infos)
    output.table(STATES, [[total[state] for state in STATES]], title="Task Count by State")
    output.data("")
    names = [f"{info.queue} (paused)" if info.paused else info.queue for info in infos]
    output.table(names, [[info.size for info in infos]], title="Task Count by Queue")
    output.data("")
    rate = output.error_rate(total["processed"], total["failed"])
    output.table(
        ["processed", "failed", "error rate"],
        [[total["processed"], total["failed"], rate]],
        title=f"Daily Stats {now:%Y-%m-%d} UTC",
    )
    output.data("")
    facts, title = (
        (_CLUSTER, "Redis Cluster Info") if "cluster_state" in redis else (_REDIS, "Redis Info")
    )
    output.table(list(facts), [[redis.get(name, "") for name in facts.values()]], title=title)


def _total(infos: "Sequence[QueueInfo]") -> dict[str, int]:
    names = (*STATES, "processed", "failed")
    return {name: sum(getattr(info, name) for info in infos) for name in names}


def _document(
    infos: "Sequence[QueueInfo]", redis: Mapping[str, str], now: datetime
) -> dict[str, object]:
    return {
        "aggregate": {**_total(infos), "timestamp": now},
        "queues": [_queue(info) for info in infos],
        "redis": redis,
    }


def _queue(info: "QueueInfo") -> dict[str, object]:
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
