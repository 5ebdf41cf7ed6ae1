"""``pyasynq scheduler module:app``: enqueue the periodic tasks of an app."""

import argparse
import asyncio
import os
from collections.abc import Mapping
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from pyasynq.cli import logs
from pyasynq.cli.connecting import add_uri, app_uri, log_address
from pyasynq.cli.ending import ended_soon
from pyasynq.cli.exits import Exit, ExitError
from pyasynq.cli.loading import load_app
from pyasynq.cli.values import Options, duration, in_words_of
from pyasynq.core.errors import OptionError
from pyasynq.runtime.loggers import get_logger

if TYPE_CHECKING:
    from pyasynq.scheduler import Scheduler, SchedulerOptions

log: Final = get_logger("pyasynq.scheduler")

FLAGS: Final = {
    "broker": ("uri", "--uri"),
    "heartbeat_interval": ("heartbeat_interval", "--heartbeat-interval"),
}
"""Options of a scheduler, and what they are here."""


def add_to(commands: Any, environ: Mapping[str, str]) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "scheduler",
        help="enqueue the periodic tasks of an app",
        usage="%(prog)s [options] module:app",
        description="Enqueue the periodic tasks of a pyasynq.App, named as module:app.",
    )
    parser.add_argument("app", metavar="module:app", help="where the pyasynq.App is")
    parser.set_defaults(run=run)
    options = Options(parser, environ)
    add_uri(parser)
    options.value("--location", type=zone, help="time zone of specs that name none: Europe/Paris")
    options.value(
        "--catch-up", choices=["skip", "once", "all"], help="what becomes of missed ticks: skip"
    )
    options.value("--heartbeat-interval", type=duration, help="how often entries are listed: 10s")
    logs.add_to(options)


def run(words: argparse.Namespace) -> int:
    """Run the scheduler."""
    logs.set_up(words.log_format, words.log_level)
    own = load_app(words.app).address
    scheduler = _scheduler(words)
    log.info("pid %d runs %s", os.getpid(), words.app)
    log_address(log, own, app_uri(words))
    asyncio.run(_run(scheduler, words))
    return Exit.OK


async def _run(scheduler: "Scheduler", words: argparse.Namespace) -> None:
    with ended_soon(words):
        await scheduler.run()


def zone(name: str) -> tzinfo:
    """Return the time zone called *name*.

    Raises:
        ArgumentTypeError: If this machine knows none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        msg = f"{name!r} is no time zone that this machine knows: write Europe/Paris"
        raise argparse.ArgumentTypeError(msg) from error


def _scheduler(words: argparse.Namespace) -> "Scheduler":
    given: SchedulerOptions = {}
    for name in ("location", "catch_up", "heartbeat_interval"):
        if (value := getattr(words, name)) is not None:
            given[name] = value
    app, uri = load_app(words.app), app_uri(words)
    try:
        return app.scheduler(uri, **given)
    except OptionError as error:
        text = in_words_of({**vars(words), "uri": uri}, FLAGS, error)
        raise ExitError(Exit.USAGE, text) from error
