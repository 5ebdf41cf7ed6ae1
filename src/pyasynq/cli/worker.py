"""``pyasynq worker module:app``: run the tasks of an app."""

import argparse
import asyncio
import logging
import os
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyasynq.cli import logs
from pyasynq.cli.connecting import add_uri, app_uri
from pyasynq.cli.exits import Exit, ExitError
from pyasynq.cli.extras import need
from pyasynq.cli.loading import load_app
from pyasynq.cli.metrics import EXTRA
from pyasynq.cli.supervisor import CHILD, DEAD_SERVER, SERVER_ID, supervise
from pyasynq.cli.values import Options, address, duration, weights
from pyasynq.errors import OptionError
from pyasynq.server.mux import HANDLER_THREAD

if TYPE_CHECKING:
    from pyasynq.cli.http import Page
    from pyasynq.server import ActiveTask, Handler, Server, ServerOptions


def add_to(commands: Any, environ: Mapping[str, str]) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command to the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "worker", help="run the tasks of an app", description=__doc__
    )
    parser.add_argument("app", metavar="module:app", help="where the pyasynq.App is")
    parser.set_defaults(run=run)
    options = Options(parser, environ)
    add_uri(parser)
    options.value("-c", "--concurrency", type=int, help="tasks run at once")
    options.value("-Q", "--queues", type=weights, help="queues and weights: critical=6,low=1")
    options.switch("--strict", help="empty heavier queues before lighter ones")
    options.value("-p", "--processes", type=int, help="worker processes, supervised and restarted")
    options.switch("--burst", help="stop when the queues are empty")
    options.switch("--reload", help="restart when a source file changes")
    options.value("--shutdown-timeout", type=duration, help="time running tasks have to end: 8s")
    options.value("--health-addr", type=address, help="serve /healthz at host:port")
    options.switch("--metrics", help="serve /metrics there, too")
    logs.add_to(options)


def run(words: argparse.Namespace) -> int:
    """Run the worker, or supervise the processes that do."""
    logs.set_up(words.log_format, words.log_level)
    _check_metrics(words)
    if words.processes is not None and words.processes < 1:
        raise ExitError(Exit.USAGE, f"--processes must be at least 1, got {words.processes}")
    if (words.processes or words.reload) and CHILD not in os.environ:
        load_app(words.app)  # a mistake in the name ends here and not in every child again
        return supervise(words.processes or 1, reload=words.reload)
    try:
        server = _server(words)
    except OptionError as error:
        raise ExitError(Exit.USAGE, str(error)) from error
    asyncio.run(_work(server, words))
    _leave_threads()
    return Exit.OK


def _check_metrics(words: argparse.Namespace) -> None:
    if words.metrics and words.health_addr is None:
        raise ExitError(Exit.USAGE, "--metrics needs an address: --health-addr host:port")
    if words.metrics:
        need(*EXTRA)


def _server(words: argparse.Namespace) -> "Server":
    given: ServerOptions = {}
    for name in ("concurrency", "queues", "shutdown_timeout"):
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
    return load_app(words.app).server(app_uri(words, os.environ), **given)


def _leave_threads() -> None:
    """End the process if a handler's thread hangs; Python would wait for it for ever."""
    if any(thread.name.startswith(HANDLER_THREAD) for thread in threading.enumerate()):
        logging.shutdown()
        sys.stdout.flush()
        os._exit(Exit.OK)


async def _work(server: "Server", words: argparse.Namespace) -> None:
    if CHILD in os.environ:
        # The pipe from the supervisor closes when it is gone, however it went.
        asyncio.get_running_loop().add_reader(sys.stdin, _orphaned, server)
    if words.health_addr is None:
        await server.run()
        return
    from pyasynq.cli.health import serving

    handler, pages = _measured(words) if words.metrics else (None, {})
    host, port = words.health_addr
    async with serving(server, host, port, pages):
        await server.run(handler)


def _measured(words: argparse.Namespace) -> "tuple[Handler, dict[str, Page]]":
    """Return the app's handler, counted and timed, and the page that shows the numbers."""
    from prometheus_client import REGISTRY

    from pyasynq.cli.metrics import page
    from pyasynq.metrics import TaskMetrics

    measured, handler = TaskMetrics(REGISTRY), load_app(words.app).mux

    async def handle(task: "ActiveTask") -> object:
        return await measured(task, handler)

    return handle, {"/metrics": page(REGISTRY)}


def _orphaned(server: "Server") -> None:
    asyncio.get_running_loop().remove_reader(sys.stdin)
    server.shut_down()
