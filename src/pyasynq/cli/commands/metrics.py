"""``pyasynq metrics``: serve metrics of all queues to Prometheus."""

import asyncio
from datetime import timedelta

import click

from pyasynq.cli import http, metrics_pages, output
from pyasynq.cli.command_group import Command
from pyasynq.cli.connection_options import ConnectionOptions, with_connection
from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.option_types import ADDRESS, DURATION, flag_errors, option_with_variable
from pyasynq.cli.optional_deps import require
from pyasynq.cli.run_inspector import exit_errors
from pyasynq.runtime.os_signals import STOP_SIGNALS, handle_os_signals


@click.command(cls=Command)
@option_with_variable(
    "--addr",
    **ADDRESS,
    default="127.0.0.1:9876",
    show_default=True,
    help="Where to serve /metrics.",
)
@option_with_variable(
    "--memory-interval",
    **DURATION,
    default="1m",
    show_default=True,
    help="Time between memory samples.",
)
@option_with_variable(
    "--target-wait",
    **DURATION,
    default="30s",
    show_default=True,
    help="Longest wait that the number of wanted workers allows.",
)
@with_connection
def metrics(
    *,
    connection: ConnectionOptions,
    addr: tuple[str, int],
    memory_interval: timedelta,
    target_wait: timedelta,
) -> int:
    """Serve metrics of all queues to Prometheus."""
    require(*metrics_pages.EXTRA)
    with exit_errors():
        asyncio.run(
            _serve(connection, addr, memory_interval=memory_interval, target_wait=target_wait)
        )
    return Exit.OK


async def _serve(
    connection: ConnectionOptions,
    addr: tuple[str, int],
    *,
    memory_interval: timedelta,
    target_wait: timedelta,
) -> None:
    from prometheus_client import CollectorRegistry

    from pyasynq.inspector import Inspector
    from pyasynq.metrics import QueueCollector

    host, port = addr
    async with Inspector(connection.url) as inspector:
        with flag_errors({"target_wait": target_wait}):
            collector = QueueCollector(
                inspector, memory_interval=memory_interval, target_wait=target_wait
            )
        registry = CollectorRegistry()
        registry.register(collector)
        pages = {metrics_pages.PATH: metrics_pages.make_page(registry, collector)}
        stopped = asyncio.Event()
        with handle_os_signals(STOP_SIGNALS, lambda _: stopped.set()):
            async with http.serve(host, port, pages):
                output.print_message(f"metrics at http://{host}:{port}/metrics")
                await stopped.wait()
