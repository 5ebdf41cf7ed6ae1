"""``pyasynq dash``: the dashboard in a terminal."""

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from pyasynq.cli.app_loader import load_app
from pyasynq.cli.command_group import Command
from pyasynq.cli.connection_options import ConnectionOptions, with_connection
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.option_types import option_with_variable
from pyasynq.cli.optional_deps import require
from pyasynq.cli.options import app_option
from pyasynq.cli.run_inspector import NO_ADDRESS, check_file, exit_errors

if TYPE_CHECKING:
    from pyasynq.broker import BrokerAddress
    from pyasynq.core.codec import Codec

EXTRA: Final = ("tui", "the dashboard in a terminal needs textual")


@click.command(cls=Command)
@option_with_variable("--read-only", is_flag=True, help="Refuse every change.")
@app_option
@with_connection
def dash(*, connection: ConnectionOptions, read_only: bool, app: str | None) -> int:
    """Show queues, tasks and workers in this terminal, and act on them.

    Press ? there for all keys, and q to leave.
    """
    require("textual", *EXTRA)
    check_terminal()
    from pyasynq.terminal import TerminalDashboard

    with exit_errors(hint=NO_ADDRESS if app is None and connection.is_default else ""):
        broker, codecs = _source(connection, app)
        check_file(broker)
        asyncio.run(TerminalDashboard(broker, read_only=read_only, codecs=codecs).show())
    return Exit.OK


def check_terminal() -> None:
    """Return if a person can see and type something.

    Raises:
        click.UsageError: If there is no terminal.
    """
    is_dumb = os.environ.get("TERM") == "dumb"
    if is_dumb or not all(it.isatty() for it in (sys.stdin, sys.stdout, sys.stderr)):
        msg = (
            "this is no terminal that can show it: run it in one (ssh -t, docker run -it), "
            "or use pyasynq stats, or pyasynq dashboard for a browser"
        )
        raise click.UsageError(msg)


def _source(
    connection: ConnectionOptions, app: str | None
) -> "tuple[BrokerAddress, Sequence[Codec]]":
    """Return the broker and the codecs of the connection, or of the app."""
    if app is None:
        return connection.url, ()
    loaded, uri = load_app(app), connection.app_uri()
    return uri or loaded.address.check_broker(), loaded.codecs
