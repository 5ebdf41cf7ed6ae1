"""``pyasynq metrics``: serve the numbers of all queues to Prometheus."""

import argparse
import asyncio
import os
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyasynq.cli import http, output
from pyasynq.cli.connecting import add_flags, redis_url
from pyasynq.cli.exits import Exit
from pyasynq.cli.extras import need
from pyasynq.cli.running import finish
from pyasynq.cli.values import Options, address, duration

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from pyasynq.metrics import QueueCollector

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
        async with http.serving(host, port, {"/metrics": page(registry, collector)}):
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


async def _told_to_stop() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
