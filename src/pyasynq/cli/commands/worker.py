"""``pyasynq worker module:app``: run the tasks of an app."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, chdir, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from pyasynq.cli import metrics_pages, recycling
from pyasynq.cli.app_loader import BrokenModuleError, load_app
from pyasynq.cli.command_group import Command
from pyasynq.cli.connection_options import app_uri_option, log_address
from pyasynq.cli.exit_codes import Exit, ExitError
from pyasynq.cli.option_types import (
    ADDRESS,
    COUNT,
    DURATION,
    POSITIVE,
    SIZE,
    TEXT,
    drop_none,
    flag_errors,
    option_with_variable,
    parse_weights,
)
from pyasynq.cli.optional_deps import require
from pyasynq.cli.options import log_options
from pyasynq.cli.shutdown import Invocation, end_process_soon
from pyasynq.cli.supervised import (
    DEAD_SERVER,
    SERVER_ID,
    SOCKET,
    SupervisorLink,
    is_child,
    is_linked,
)
from pyasynq.cli.supervisor import supervise
from pyasynq.cli.worker_options import WorkerOptions
from pyasynq.core.errors import BrokerError
from pyasynq.runtime.actor import Runnable, cancel_and_wait, run_forever
from pyasynq.runtime.loggers import get_logger

if TYPE_CHECKING:
    from pyasynq.app import App
    from pyasynq.cli.http import Page
    from pyasynq.metrics import WorkerMetrics
    from pyasynq.server import Handler, Server, ServerOptions

log: Final = get_logger("pyasynq.worker")

EPILOG: Final = """\
An option wins over its environment variable.

\b
Exit codes: 0 stopped; 1 failed; 2 a usage error;
3 no such module or app; 4 no broker at the start of a burst;
6 stopped by pyasynq server stop.
"""

UNKNOWN_STOP_S: Final = 30.0
"""Longest stop of a child whose app cannot be loaded yet."""

SERVER_OPTIONS: Final = (
    "concurrency",
    "threads",
    "task_processes",
    "max_crashes",
    "unknown",
    "queues",
    "deployment",
    "shutdown_timeout",
)
"""Options of the command that are options of the server by the same name."""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("app", metavar="MODULE:APP")
@app_uri_option
@option_with_variable(
    "-c",
    "--concurrency",
    **COUNT,
    help="Most tasks that run at once; the app's when not given, else 100.",
)
@option_with_variable(
    "--threads",
    **COUNT,
    help="Threads for plain functions; the app's when not given, else the value of -c, else CPUs "
    "+ 4, at most 32.",
)
@option_with_variable(
    "--task-processes",
    **COUNT,
    help="Processes for tasks of the executor 'process'; the app's when not given, else one for "
    "each CPU, with -p shared among the worker processes.",
)
@option_with_variable(
    "-Q",
    "--queues",
    type=parse_weights,
    metavar="QUEUES",
    help="Queues and weights, such as critical=6,low=1 or tenant-*=1; the app's when not given, "
    "else default=1.",
)
@option_with_variable(
    "--deployment",
    **TEXT,
    help="Name that this worker shares with others, for pyasynq server.",
)
@option_with_variable("--strict", is_flag=True, help="Empty heavier queues before lighter ones.")
@option_with_variable(
    "-p",
    "--processes",
    **POSITIVE,
    help="Worker processes, supervised and restarted; one, not supervised, when not given.",
)
@option_with_variable("--burst", is_flag=True, help="Stop when the queues are empty.")
@option_with_variable("--reload", is_flag=True, help="Restart when a source file changes.")
@option_with_variable(
    "--shutdown-timeout",
    **DURATION,
    help="Time for running tasks to end at a stop, such as 1m30s; the app's when not given, else "
    "8s.",
)
@option_with_variable(
    "--max-tasks",
    **POSITIVE,
    help="Tasks after which a process is replaced, or ends when it is not supervised; each process "
    "draws 90 to 100 % of this number, so that they do not all end at once.",
)
@option_with_variable(
    "--max-memory",
    **SIZE,
    help="Resident memory, such as 512M or 1.5G, above which a process is replaced, or ends when "
    "it is not supervised.",
)
@option_with_variable(
    "--max-crashes",
    **COUNT,
    help="Crashes in a row after which a task is archived; the app's when not given, else 3.",
)
@option_with_variable(
    "--unknown",
    type=click.Choice(["retry", "wait"], case_sensitive=False),
    help="What to do with tasks of unknown types; the app's when not given, else wait.",
)
@option_with_variable(
    "--health-addr",
    **ADDRESS,
    help="Serve /livez, /readyz and /healthz at this address; with -p for all processes.",
)
@option_with_variable("--metrics", is_flag=True, help="Also serve /metrics at --health-addr.")
@log_options
@click.pass_obj
def worker(invocation: Invocation, /, **values: Any) -> int:  # noqa: ANN401 - see `WorkerOptions`
    """Run the tasks of an app.

    The pyasynq.App is named as module:app and looked for in the current folder first; "module"
    alone means "module:app". After SIGTERM, SIGHUP or Ctrl-C the worker lets running tasks end; a
    second signal interrupts them. With -p, SIGHUP replaces the processes, one after another.
    """
    options = WorkerOptions(**values)
    from pyasynq.cli import logs

    logs.set_up(options.log_format, options.log_level, of_several=options.is_supervised)
    _check(options)
    if options.is_supervised and not is_child():
        longest_stop_s = _longest_stop_s(options)
        _check_memory(options)
        return supervise(invocation.arguments, options, longest_stop_s=longest_stop_s)
    if is_linked() and options.metrics:
        metrics_pages.name_files(Path(os.environ[SOCKET]).name)
    own = load_app(options.app).address
    server = make_server(options)
    if not is_child():
        _check_memory(options)
    log.info("pid %d runs %s", os.getpid(), options.app)
    log_address(log, own, options.uri)
    if is_child():
        # SIGHUP is for the supervisor. Programs that handlers start would inherit SIG_IGN.
        signal.signal(signal.SIGHUP, _ignore)
    asyncio.run(_work(server, options, invocation))
    return Exit.OK


def _ignore(*_signal: object) -> None:
    """Handle a signal by doing nothing."""


def _check(options: WorkerOptions) -> None:
    """Return if the options fit together.

    Raises:
        click.ClickException: If they do not.
    """
    if options.is_supervised and not hasattr(socket, "AF_UNIX"):
        msg = "--processes and --reload need a Unix system: start several workers instead"
        raise click.UsageError(msg)
    if options.metrics and options.health_addr is None:
        msg = "--metrics needs an address: --health-addr host:port"
        raise click.UsageError(msg)
    if options.metrics:
        require(*metrics_pages.EXTRA)


def _check_memory(options: WorkerOptions) -> None:
    """Return if ``--max-memory`` leaves room beside the app, which must be loaded by now."""
    if options.max_memory is not None:
        recycling.check_memory(options.max_memory)


def _longest_stop_s(options: WorkerOptions) -> float:
    """Return the longest time a child takes to stop, in seconds.

    This makes a server, so that a mistake is reported once and not by each child. With ``--reload``
    the child reports a broken app, and the supervisor waits for a change.
    """
    try:
        with chdir("."):  # the app may change the folder: children must start in the original one
            return make_server(options).longest_stop.total_seconds()
    except BrokenModuleError:
        if options.reload:
            return UNKNOWN_STOP_S
        raise


def make_server(options: WorkerOptions) -> "Server":
    """Return the server of the app.

    Raises:
        click.ClickException: If there is no such app, or a value is not allowed.
    """
    app = load_app(options.app)
    given = {name: getattr(options, name) for name in SERVER_OPTIONS} | {
        "task_processes": options.task_processes or _share_of_cpus(app, options),
        "strict_priority": options.strict or None,
        "burst": options.burst or None,
        "server_id": os.environ.get(SERVER_ID) or None,
        "replaces": os.environ.get(DEAD_SERVER) or None,
    }
    with flag_errors({"uri": options.uri, **given}):
        return app.server(options.uri or None, **cast("ServerOptions", drop_none(given)))


def _share_of_cpus(app: "App", options: WorkerOptions) -> int | None:
    """Return how many processes for tasks each worker process has; None for the app's number."""
    if options.processes is None or "task_processes" in app.server_options():
        return None
    from pyasynq.server.config import default_processes

    return max(1, default_processes() // options.processes)


async def _work(server: "Server", options: WorkerOptions, invocation: Invocation) -> None:
    link = SupervisorLink(server) if is_child() else None
    if link is not None:
        link.watch()
    handler, pages, measuring = _measure(server, options)
    companions: list[Runnable] = [*measuring, *_recyclers(server, options, link)]
    if link is not None:
        companions.append(link)
    with end_process_soon(invocation):
        async with _serving(server, options, pages), _running(companions):
            if options.burst:
                await _check_broker(server)
            await server.run(handler)
            if server.ended_by_operator:
                target = server.deployment or "'*'"
                undo = f"pyasynq server resume {target}"
                text = f"operators want this worker to end; to undo it: {undo}"
                raise ExitError(Exit.STOPPED, text)


@asynccontextmanager
async def _running(companions: "Sequence[Runnable]") -> AsyncGenerator[None]:
    """Run *companions* of the server while the block runs; a crashed one starts again."""
    jobs = [asyncio.create_task(run_forever(it), name=it.name) for it in companions]
    try:
        yield
    finally:
        await cancel_and_wait(jobs)


def _recyclers(
    server: "Server", options: WorkerOptions, link: SupervisorLink | None
) -> list[recycling.Recycler]:
    if options.max_tasks is None and options.max_memory is None:
        return []
    limits = recycling.Limits.draw(max_tasks=options.max_tasks, max_memory=options.max_memory)
    make_way = _make_way_at_once if link is None else link.wait_for_successor
    return [recycling.Recycler(server, limits, make_way)]


async def _make_way_at_once() -> None:
    """Return: there is no supervisor to ask for another process."""


def _serving(
    server: "Server", options: WorkerOptions, more: "Mapping[str, Page]"
) -> AbstractAsyncContextManager[None]:
    """Serve the health of *server* and the pages *more*: a child serves them to its supervisor."""
    from pyasynq.cli import health, http

    pages = {**health.make_pages(server), **more}
    if file := os.environ.get(SOCKET):
        return http.serve_in_socket(Path(file), pages)
    if options.health_addr is not None:
        return http.serve(*options.health_addr, pages)
    return nullcontext()


def _measure(
    server: "Server", options: WorkerOptions
) -> "tuple[Handler | None, Mapping[str, Page], Sequence[WorkerMetrics]]":
    """Return what ``--metrics`` adds.

    Returns:
        The app's handler with metrics around it, the page, and what measures *server*.
    """
    if not options.metrics:
        return None, {}, []
    from prometheus_client import REGISTRY

    from pyasynq.metrics import TaskMetrics, WorkerMetrics

    task_metrics = TaskMetrics(REGISTRY)
    if is_child():
        page = metrics_pages.make_child_page(task_metrics)
    else:
        page = metrics_pages.make_page(REGISTRY)
    handler = load_app(options.app).mux.within(task_metrics)
    return handler, {metrics_pages.PATH: page}, [WorkerMetrics(server, REGISTRY)]


async def _check_broker(server: "Server") -> None:
    """Fail if the broker is away: a timer or script that starts a burst expects it to end."""
    try:
        await server.ping()
    except BrokerError as error:
        raise ExitError(Exit.NO_CONNECTION, str(error)) from error
