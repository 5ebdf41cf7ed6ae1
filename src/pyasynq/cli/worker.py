"""``pyasynq worker module:app``: run the tasks of an app."""

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, chdir, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyasynq.cli import logs
from pyasynq.cli.connecting import add_uri, app_uri, log_address
from pyasynq.cli.ending import GRACE_S, end_now, ended_soon
from pyasynq.cli.exits import Exit, ExitError
from pyasynq.cli.extras import need
from pyasynq.cli.loading import BrokenModuleError, load_app
from pyasynq.cli.metrics import EXTRA
from pyasynq.cli.supervisor import CHILD, DEAD_SERVER, SERVER_ID, SOCKET, supervise
from pyasynq.cli.values import Options, address, duration, in_words_of, weights, whole
from pyasynq.core.errors import BrokerError, OptionError
from pyasynq.runtime.loggers import get_logger

if TYPE_CHECKING:
    from pyasynq.cli.http import Page
    from pyasynq.server import Handler, Server, ServerOptions

log: Final = get_logger("pyasynq.worker")

DESCRIPTION: Final = """\
Run the tasks of a pyasynq.App. It is named as module:app, looked for in the current folder first;
"module" alone means "module:app". SIGTERM, SIGHUP and Ctrl-C stop the worker once running tasks
have ended, a second one at once. With -p, SIGHUP replaces the processes, one after another."""

EPILOG: Final = """\
[NAME] is the environment variable that stands for an option; the option wins.

exit codes: 0 stopped; 1 failed; 2 an option does not fit; 3 there is no such module or app;
4 no Redis at the start of a burst"""

UNKNOWN_STOP_S: Final = 30.0
"""Longest stop of a child whose app cannot be loaded yet."""

FLAGS: Final = {
    "broker": ("uri", "--uri"),
    "concurrency": ("concurrency", "--concurrency"),
    "threads": ("threads", "--threads"),
    "max_crashes": ("max_crashes", "--max-crashes"),
    "queues": ("queues", "--queues"),
    "shutdown_timeout": ("shutdown_timeout", "--shutdown-timeout"),
}
"""Options of a server, and what they are here."""


def add_to(commands: Any, environ: Mapping[str, str]) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "worker",
        help="run the tasks of an app",
        usage="%(prog)s [options] module:app",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("app", metavar="module:app", help="where the pyasynq.App is")
    parser.set_defaults(run=run)
    options = Options(parser, environ)
    add_uri(parser)
    options.value(
        "-c",
        "--concurrency",
        type=whole,
        metavar="N",
        help="tasks run at once; the app's when not given, else 100",
    )
    options.value(
        "--threads",
        type=whole,
        metavar="N",
        help="threads for plain functions; the app's when not given, else as many as -c says, "
        "else 4 more than CPUs, 32 at most",
    )
    options.value(
        "-Q",
        "--queues",
        type=weights,
        help="queues and weights, critical=6,low=1; the app's when not given, else default=1",
    )
    options.switch("--strict", help="empty heavier queues before lighter ones")
    options.value(
        "-p",
        "--processes",
        type=whole,
        metavar="N",
        help="worker processes, supervised and restarted; one, not supervised, when not given",
    )
    options.switch("--burst", help="stop when the queues are empty")
    options.switch("--reload", help="restart when a source file changes")
    options.value(
        "--shutdown-timeout",
        type=duration,
        metavar="TIME",
        help="time running tasks have to end at a stop, 1m30s; the app's when not given, else 8s",
    )
    options.value(
        "--max-crashes",
        type=whole,
        metavar="N",
        help="workers that may die with one task in a row; the app's when not given, else 3",
    )
    options.value(
        "--unknown",
        choices=["retry", "wait"],
        help="what becomes of tasks of types that the app has not; the app's, else wait",
    )
    options.value(
        "--health-addr",
        type=address,
        metavar="HOST:PORT",
        help="serve /healthz; with -p for all processes",
    )
    options.switch("--metrics", help="serve /metrics there, too")
    logs.add_to(options)


def run(words: argparse.Namespace) -> int:
    """Run the worker, or supervise the processes that do."""
    is_supervised = bool(words.processes or words.reload)
    logs.set_up(words.log_format, words.log_level, of_several=is_supervised)
    _check(words)
    if is_supervised and CHILD not in os.environ:
        return supervise(words, patience_s=_patience_s(words))
    own = load_app(words.app).address
    server = _server(words)
    log.info("pid %d runs %s", os.getpid(), words.app)
    log_address(log, own, app_uri(words))
    if CHILD in os.environ:
        # Its supervisor's signal; not SIG_IGN, which programs that handlers start would inherit.
        signal.signal(signal.SIGHUP, _leave)
    asyncio.run(_work(server, words))
    return Exit.OK


def _leave(*_signal: object) -> None:
    """Do nothing about a signal."""


def _check(words: argparse.Namespace) -> None:
    _check_metrics(words)
    if words.processes is not None and words.processes < 1:
        raise ExitError(Exit.USAGE, f"--processes must be at least 1, got {words.processes}")
    if (words.processes or words.reload) and not hasattr(socket, "AF_UNIX"):
        text = "--processes and --reload need a Unix system: start several workers instead"
        raise ExitError(Exit.USAGE, text)


def _patience_s(words: argparse.Namespace) -> float:
    """Return the longest time a child takes to stop; mistakes end here, not in every child again.

    With ``--reload`` a broken app is for the child to show; then its supervisor awaits a change.
    """
    try:
        with chdir("."):  # whatever the app makes of it, children begin where the command did
            return _server(words).longest_stop.total_seconds()
    except BrokenModuleError:
        if words.reload:
            return UNKNOWN_STOP_S
        raise


def _check_metrics(words: argparse.Namespace) -> None:
    if words.metrics and words.health_addr is None:
        raise ExitError(Exit.USAGE, "--metrics needs an address: --health-addr host:port")
    if words.metrics:
        need(*EXTRA)


def _server(words: argparse.Namespace) -> "Server":
    given: ServerOptions = {}
    for name in ("concurrency", "threads", "max_crashes", "unknown", "queues", "shutdown_timeout"):
        if (value := getattr(words, name)) is not None:
            given[name] = value
    if words.strict:
        given["strict_priority"] = True
    if words.burst:
        given["burst"] = True
    if server_id := os.environ.get(SERVER_ID):
        given["server_id"] = server_id
    if dead_server := os.environ.get(DEAD_SERVER):
        given["replaces"] = dead_server
    app, uri = load_app(words.app), app_uri(words)
    try:
        return app.server(uri, **given)
    except OptionError as error:
        text = in_words_of({**vars(words), "uri": uri}, FLAGS, error)
        raise ExitError(Exit.USAGE, text) from error


async def _work(server: "Server", words: argparse.Namespace) -> None:
    if CHILD in os.environ:
        _watch_supervisor(server)
    handler, pages = _measured(words)
    with ended_soon(words):
        async with _serving(server, words, pages):
            if words.burst:
                await _check_redis(server)
            await server.run(handler)


def _serving(
    server: "Server", words: argparse.Namespace, more: "Mapping[str, Page]"
) -> AbstractAsyncContextManager[None]:
    """Serve the health of *server*, and *more*, where it is wanted: a child to its supervisor."""
    from pyasynq.cli import http
    from pyasynq.cli.health import pages

    if file := os.environ.get(SOCKET):
        return http.serving_in(Path(file), pages(server, more))
    if words.health_addr is not None:
        host, port = words.health_addr
        return http.serving(host, port, pages(server, more))
    return nullcontext()


def _measured(words: argparse.Namespace) -> "tuple[Handler | None, Mapping[str, Page]]":
    """Return the app's handler, counted and timed, and the page with the numbers, if wanted."""
    if not words.metrics:
        return None, {}
    from prometheus_client import REGISTRY

    from pyasynq.cli.metrics import PATH, page, page_of_child
    from pyasynq.metrics import TaskMetrics

    measured = TaskMetrics(REGISTRY)
    shown = page_of_child(measured) if SOCKET in os.environ else page(REGISTRY)
    return load_app(words.app).mux.within(measured), {PATH: shown}


async def _check_redis(server: "Server") -> None:
    """Refuse to wait for Redis: a burst is started to end, by a timer or a script that looks."""
    try:
        await server.ping()
    except BrokerError as error:
        raise ExitError(Exit.NO_CONNECTION, str(error)) from error


def _watch_supervisor(server: "Server") -> None:
    """End with the supervisor, also where the loop is blocked: the pipe from it closes then."""
    loop = asyncio.get_running_loop()

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        log.warning("the supervisor is gone: shutting down")
        with suppress(RuntimeError):  # the loop is over
            loop.call_soon_threadsafe(server.shut_down)
        time.sleep(server.longest_stop.total_seconds() + GRACE_S)
        end_now(Exit.FAILED)

    threading.Thread(target=watch, name="pyasynq-supervised", daemon=True).start()
