"""``pyasynq server``: look at running servers, Go's included."""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyasynq.cli import output
from pyasynq.cli.parsing import Noun
from pyasynq.cli.running import inspect

if TYPE_CHECKING:
    from pyasynq.inspector import Inspector


def add_to(commands: Any, _environ: Mapping[str, str]) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the noun to the command line."""
    noun = Noun(commands, "server", "look at running servers")
    noun.verb("list", show, aliases=["ls"], help="list running servers")


def show(words: argparse.Namespace) -> int:
    """List running servers."""

    async def job(inspector: "Inspector") -> None:
        servers = sorted(await inspector.servers(), key=lambda server: (server.host, server.pid))
        if output.is_json(words):
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
                    server.host,
                    server.pid,
                    server.status,
                    f"{len(server.active_workers)}/{server.concurrency}",
                    _weights(server.queues),
                    output.ago(server.started, now),
                ]
                for server in servers
            ],
        )

    return inspect(words, job)


def _weights(queues: Mapping[str, int]) -> str:
    ranked = sorted(queues.items(), key=lambda queue: (-queue[1], queue[0]))
    return " ".join(f"{queue}:{weight}" for queue, weight in ranked)
