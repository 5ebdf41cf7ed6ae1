"""``pyasynq doctor``: read what the checks of `diagnosis` need, and print their results."""

import asyncio
import os
import platform
import shutil
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from pyasynq import __version__
from pyasynq.cli import output
from pyasynq.cli.command_group import Command
from pyasynq.cli.connection_options import ConnectionOptions, with_connection
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.options import output_option
from pyasynq.cli.run_inspector import check_file, code_of, exit_errors
from pyasynq.core.errors import BrokerError, BrokerReadOnlyError
from pyasynq.core.safe_text import safe
from pyasynq.diagnosis.checks import Check, ok, problem
from pyasynq.diagnosis.diagnosis import diagnose

if TYPE_CHECKING:
    from pyasynq.broker import Broker

COLORS: Final = {"ok": "green", "unknown": "blue", "warning": "yellow", "problem": "red"}
INDENT: Final = " " * 22
LEAST_WIDTH: Final = 30
"""Narrowest width of a message, however narrow the terminal is."""

CONNECTED: Final = {
    "Redis": "Redis answers and accepts the login",
    "SQLite": "the file can be opened",
}
ADVICE: Final = {
    "Redis": "check that Redis runs, and that address, TLS, user name and password are right",
    "SQLite": "check the address, and whether this user may write the file and its folder",
}
"""What to say about the connection to each broker, and what to check if there is none."""


@click.command(cls=Command)
@output_option()
@with_connection
def doctor(*, connection: ConnectionOptions, as_json: bool) -> int:
    """Check the broker, queues and workers for problems.

    Exit codes: 0 no problem, perhaps warnings; 1 a problem; 4 the broker cannot be used at all.
    """
    with exit_errors():
        code, checks = asyncio.run(_examine(connection))
    if as_json:
        output.print_json(checks)
        return code
    for check in checks:
        _print(check)
    return code


async def _examine(connection: ConnectionOptions) -> tuple[Exit, Sequence[Check]]:
    """Return the exit code and the results of all checks."""
    from pyasynq.broker import open_broker, redact_url
    from pyasynq.diagnosis.reading import read_findings

    broker = open_broker(connection.url)
    checks = [
        ok("pyasynq", f"{__version__}, on Python {platform.python_version()}"),
        ok("address", f"{redact_url(connection.url)} ({connection.named_by})"),
    ]
    try:
        check_file(connection.url)
        checks.append(await _connect(broker))
        checks += diagnose(await read_findings(broker))
    except BrokerError as error:
        checks.append(problem("connection", str(error), ADVICE[broker.name]))
        return code_of(error), checks
    finally:
        await broker.aclose()
    has_problem = any(check.status == "problem" for check in checks)
    return Exit.FAILED if has_problem else Exit.OK, checks


async def _connect(broker: "Broker") -> Check:
    """Return the result of the first call.

    Raises:
        BrokerError: If the broker does not answer, or refuses the user.
    """
    with suppress(BrokerReadOnlyError):  # the check of the role, or of the rights, reports it
        await broker.ping()
    return ok("connection", CONNECTED[broker.name])


def _print(check: Check) -> None:
    """Print a line with the result, and another with the advice, if there is one."""
    status = f"{check.status:<9}"
    if not os.environ.get("NO_COLOR"):
        status = click.style(status, fg=COLORS[check.status])
    click.echo(f"{status} {check.check:<11} {_wrap(check.message)}")
    if check.advice:
        click.echo(f"{INDENT}{_wrap(check.advice)}")


def _wrap(text: str) -> str:
    """Return *text*; for a terminal, broken between words, with later lines indented."""
    text = safe(text, lines=True)
    if not sys.stdout.isatty():
        return text
    width = max(shutil.get_terminal_size().columns - len(INDENT), LEAST_WIDTH)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return f"\n{INDENT}".join(lines)
