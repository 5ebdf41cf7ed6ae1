"""``pyasynq scheduler module:app``: enqueue the periodic tasks of an app."""

import asyncio
import os
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Final, cast
from zoneinfo import ZoneInfo

import click

from pyasynq.cli.app_loader import load_app
from pyasynq.cli.command_group import Command
from pyasynq.cli.connection_options import app_uri_option, log_address
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.option_types import DURATION, drop_none, flag_errors, option_with_variable
from pyasynq.cli.options import log_options
from pyasynq.cli.shutdown import Invocation, end_process_soon
from pyasynq.runtime.loggers import get_logger

if TYPE_CHECKING:
    from pyasynq.app import App
    from pyasynq.scheduler import Scheduler, SchedulerOptions

log: Final = get_logger("pyasynq.scheduler")


def parse_zone(name: str) -> tzinfo:
    """Return the time zone *name*.

    Raises:
        click.BadParameter: If this machine does not know it.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        msg = f"{name!r} is no time zone that this machine knows: write Europe/Paris"
        raise click.BadParameter(msg) from error


@click.command(cls=Command)
@click.argument("app", metavar="MODULE:APP")
@app_uri_option
@option_with_variable(
    "--location",
    type=parse_zone,
    metavar="ZONE",
    help="Time zone of cron texts that name none, such as Europe/Paris; UTC when not given.",
)
@option_with_variable(
    "--catch-up",
    type=click.Choice(["skip", "once", "all"], case_sensitive=False),
    help="What to do about missed ticks; skip when not given.",
)
@option_with_variable(
    "--heartbeat-interval", **DURATION, help="Time between heartbeats; 10s when not given."
)
@log_options
@click.pass_obj
def scheduler(
    invocation: Invocation,
    /,
    *,
    app: str,
    uri: str | None,
    log_format: str | None,
    log_level: str | None,
    **options: Any,  # noqa: ANN401 - options of a scheduler, as declared above
) -> int:
    """Enqueue the periodic tasks of an app.

    The pyasynq.App is named as module:app and looked for in the current folder first.
    """
    from pyasynq.cli import logs

    logs.set_up(log_format, log_level)
    loaded = load_app(app)
    own = loaded.address
    instance = make_scheduler(loaded, uri, **options)
    log.info("pid %d runs %s", os.getpid(), app)
    log_address(log, own, uri)
    asyncio.run(_run(instance, invocation))
    return Exit.OK


def make_scheduler(
    app: "App",
    uri: str | None,
    **options: object,
) -> "Scheduler":
    """Return the scheduler of *app*; options that are None have the scheduler's default.

    Raises:
        click.UsageError: If a value is not allowed.
    """
    with flag_errors({"uri": uri, **options}):
        return app.scheduler(uri or None, **cast("SchedulerOptions", drop_none(options)))


async def _run(scheduler: "Scheduler", invocation: Invocation) -> None:
    with end_process_soon(invocation):
        await scheduler.run()
