"""``pyasynq server``: look at running servers, Go's included."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pyasynq.cli import output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.options import output_option
from pyasynq.cli.redis_options import RedisOptions, redis_options
from pyasynq.cli.run_inspector import inspect

if TYPE_CHECKING:
    from pyasynq.inspector import Inspector


@click.group(cls=CommandGroup)
def server() -> None:
    """Look at running servers."""


@server.command("list")
@output_option()
@redis_options
def list_servers(*, redis: RedisOptions, as_json: bool) -> int:
    """List running servers."""

    async def job(inspector: "Inspector") -> None:
        servers = sorted(await inspector.servers(), key=lambda it: (it.host, it.pid))
        if as_json:
            output.json(servers)
            return
        if not servers:
            output.message("No running servers")
            return
        now = datetime.now(UTC)
        output.table(
            ["Host", "PID", "State", "Active Workers", "Queues", "Started"],
            [
                [
                    it.host,
                    it.pid,
                    it.status,
                    f"{len(it.active_workers)}/{it.concurrency}",
                    _weights(it.queues),
                    output.ago(it.started, now),
                ]
                for it in servers
            ],
        )

    return inspect(redis, job)


def _weights(queues: Mapping[str, int]) -> str:
    ranked = sorted(queues.items(), key=lambda queue: (-queue[1], queue[0]))
    return " ".join(f"{queue}:{weight}" for queue, weight in ranked)


server.add_command(list_servers, "ls")
