"""``pyasynq relay module:relay``: move the tasks of an outbox to their queues."""

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

import click

from pyasynq.cli.app_loader import load_relay
from pyasynq.cli.command_group import Command
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.options import log_options
from pyasynq.cli.shutdown import Invocation, end_process_soon
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.os_signals import handle_stop_signals

if TYPE_CHECKING:
    from pyasynq.outbox.row_relay import RowRelay

log: Final = get_logger("pyasynq.outbox")


@click.command(cls=Command)
@click.argument("place", metavar="MODULE:RELAY")
@log_options
@click.pass_obj
def relay(
    invocation: Invocation, /, *, place: str, log_format: str | None, log_level: str | None
) -> int:
    """Move the tasks of an outbox to their queues.

    The pyasynq.outbox.Relay is named as module:relay and looked for in the current folder first.
    """
    from pyasynq.cli import logs

    logs.set_up(log_format, log_level)
    loaded = load_relay(place)
    log.info("pid %d runs %s", os.getpid(), place)
    asyncio.run(_relay(loaded, invocation))
    return Exit.OK


async def _relay(relay: "RowRelay[Any]", invocation: Invocation) -> None:
    stop = asyncio.Event()
    with end_process_soon(invocation), handle_stop_signals(log, stop.set):
        try:
            async with relay.running():
                await stop.wait()
        finally:
            await relay.aclose()
        log.info("the relay has stopped")
