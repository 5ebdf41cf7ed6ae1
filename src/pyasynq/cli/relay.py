"""``pyasynq relay module:relay``: move the tasks of an outbox to their queues."""

import argparse
import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pyasynq.cli import logs
from pyasynq.cli.ending import ended_soon
from pyasynq.cli.exits import Exit
from pyasynq.cli.loading import load_relay
from pyasynq.cli.values import Options
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.os_signals import handle_stop_signals

if TYPE_CHECKING:
    from pyasynq.outbox import Relay

log: Final = get_logger("pyasynq.outbox")


def add_to(commands: Any, environ: Mapping[str, str]) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "relay",
        help="move the tasks of an outbox to their queues",
        usage="%(prog)s [options] module:relay",
        description="Move the tasks of an outbox to their queues. The Relay is named as "
        "module:relay.",
    )
    parser.add_argument("relay", metavar="module:relay", help="where the Relay is")
    parser.set_defaults(run=run)
    logs.add_to(Options(parser, environ))


def run(words: argparse.Namespace) -> int:
    """Relay until told to stop."""
    logs.set_up(words.log_format, words.log_level)
    relay = load_relay(words.relay)
    log.info("pid %d runs %s", os.getpid(), words.relay)
    asyncio.run(_relay(relay, words))
    return Exit.OK


async def _relay(relay: "Relay", words: argparse.Namespace) -> None:
    stop = asyncio.Event()
    with ended_soon(words), handle_stop_signals(log, stop.set):
        try:
            async with relay.running():
                await stop.wait()
        finally:
            await relay.aclose()
        log.info("the relay has stopped")
