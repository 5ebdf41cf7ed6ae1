"""``pyasynq metrics``: serve the numbers of all queues to Prometheus."""

import argparse
import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyasynq.cli import http, output
from pyasynq.cli.connecting import add_flags, redis_url
from pyasynq.cli.exits import Exit
from pyasynq.cli.extras import need
from pyasynq.cli.running import finish
from pyasynq.cli.values import Options, address, duration
from pyasynq.runtime.os_signals import STOPPING, handle_os_signals

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from pyasynq.metrics import QueueCollector, TaskMetrics

PATH = "/metrics"
EXTRA = ("prometheus_client", "metrics", "metrics need prometheus-client")


def add_to(commands: Any, environ: Mapping[str, str]) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command to the command line."""
    text = "serve the numbers of all queues to Prometheus"
    parser = commands.add_parser("metrics", help=text, description=text)
    parser.set_defaults(run=run)
    add_flags(parser)
    options = Options(parser, environ)
    options.value(
        "--addr", type=address, default="127.0.0.1:9876", help="serve /metrics at host:port"
    )
    options.value(
        "--memory-interval", type=duration, default="1m", help="time between memory samples"
    )


def run(words: argparse.Namespace) -> int:
    """Serve metrics until told to stop."""
    need(*EXTRA)
    return finish(_serve(words))


async def _serve(words: argparse.Namespace) -> int:
    from prometheus_client import CollectorRegistry

    from pyasynq.inspector import Inspector
    from pyasynq.metrics import QueueCollector

    host, port = words.addr
    async with Inspector(redis_url(words, os.environ)) as inspector:
        collector = QueueCollector(inspector, memory_interval=words.memory_interval)
        registry = CollectorRegistry()
        registry.register(collector)
        async with http.serving(host, port, {PATH: page(registry, collector)}):
            output.message(f"metrics at http://{host}:{port}/metrics")
            await _told_to_stop()
    return Exit.OK


def page(registry: "CollectorRegistry", collector: "QueueCollector | None" = None) -> http.Page:
    """Return the page that shows *registry*, and asks Redis first if there is a *collector*."""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    async def metrics() -> http.Answer:
        if collector is not None:
            await collector.read()
        return http.Answer("200 OK", CONTENT_TYPE_LATEST, generate_latest(registry))

    return metrics


def page_of_child(measured: "TaskMetrics") -> http.Page:
    """Return the page at which a supervisor has a child write down its numbers."""

    async def refresh() -> http.Answer:
        measured.refresh()
        return http.Answer("200 OK", "text/plain", b"")

    return refresh


def page_of_all(folder: Path, files: Callable[[], Iterable[Path]]) -> http.Page:
    """Return the page that shows the numbers in *folder*, of children who serve in *files*."""
    from prometheus_client import CollectorRegistry, multiprocess

    registry = CollectorRegistry()
    untyped: Any = multiprocess
    untyped.MultiProcessCollector(registry, str(folder))
    shown = page(registry)

    async def metrics() -> http.Answer:
        refreshing = (http.ask(file, PATH) for file in files())
        await asyncio.gather(*refreshing, return_exceptions=True)  # who is away has no number
        return await shown()

    return metrics


def forget(folder: Path, pid: int) -> None:
    """Count no more what the process *pid*, which has ended, did at its end."""
    from prometheus_client import multiprocess

    untyped: Any = multiprocess
    untyped.mark_process_dead(pid, str(folder))


async def _told_to_stop() -> None:
    stopped = asyncio.Event()
    with handle_os_signals(STOPPING, lambda _: stopped.set()):
        await stopped.wait()
