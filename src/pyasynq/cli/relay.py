"""``pyasynq relay module:relay``: move the tasks of an outbox to their queues."""

import argparse
import asyncio
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyasynq.cli import logs
from pyasynq.cli.exits import Exit
from pyasynq.cli.loading import load_relay
from pyasynq.cli.values import Options

if TYPE_CHECKING:
    from pyasynq.outbox import Relay


def add_to(commands: Any, environ: Mapping[str, str]) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "relay", help="move the tasks of an outbox to their queues", description=__doc__
    )
    parser.add_argument("relay", metavar="module:relay", help="where the Relay is")
    parser.set_defaults(run=run)
    logs.add_to(Options(parser, environ))


def run(words: argparse.Namespace) -> int:
    """Relay until SIGTERM or SIGINT."""
    logs.set_up(words.log_format, words.log_level)
    asyncio.run(_relay(load_relay(words.relay)))
    return Exit.OK


async def _relay(relay: "Relay") -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with relay.running():
            await stop.wait()
    finally:
        await relay.aclose()
