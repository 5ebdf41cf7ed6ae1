"""``pyasynq server``: read the running servers, those of Go included."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pyasynq.cli import output
from pyasynq.cli.command_group import CommandGroup
from pyasynq.cli.run_inspector import inspector_command

if TYPE_CHECKING:
    from pyasynq.core.info import ServerInfo
    from pyasynq.inspector import Inspector


@click.group(cls=CommandGroup)
def server() -> None:
    """Show running servers."""


@server.command("list")
@inspector_command()
async def list_servers(inspector: "Inspector", *, as_json: bool) -> None:
    """List running servers."""
    servers = sorted(await inspector.servers(), key=lambda it: (it.host, it.pid))
    now = datetime.now(UTC)
    output.print_json_or_table(
        servers,
        ["Host", "PID", "State", "Active Workers", "Queues", "Started"],
        [_row(it, now) for it in servers],
        empty="No running servers",
        as_json=as_json,
    )


def _row(server: "ServerInfo", now: datetime) -> list[object]:
    return [
        server.host,
        server.pid,
        server.status,
        f"{len(server.active_workers)}/{server.concurrency}",
        _format_weights(server.queues),
        output.format_ago(server.started, now),
    ]


def _format_weights(queues: Mapping[str, int]) -> str:
    ranked = sorted(queues.items(), key=lambda queue: (-queue[1], queue[0]))
    return " ".join(f"{queue}:{weight}" for queue, weight in ranked)


server.add_command(list_servers, "ls")
