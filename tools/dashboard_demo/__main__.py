"""Show the dashboard on a busy system: ``make dashboard-demo``.

It starts a Redis of its own, workers of two machines, a scheduler, a program that enqueues, a
worker in Go if there is Go, and the dashboard. Ctrl-C ends them all.
"""

import argparse
import asyncio
import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import system
import uvicorn

from pyasynq.dashboard import Dashboard


class Web(uvicorn.Server):
    """A web server that leaves signals alone: the demo ends its programs first."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


async def serve(dashboard: Dashboard, port: int) -> None:
    """Serve *dashboard* until Ctrl-C or SIGTERM."""
    web = Web(uvicorn.Config(dashboard, port=port, log_level="warning"))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, setattr, web, "should_exit", True)
    await web.serve()


async def main() -> None:
    """Run until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="port of the dashboard")
    given = parser.parse_args()
    print("starting the system; building its worker in Go takes minutes the first time", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        async with system.running(Path(folder)) as url, Dashboard(url) as dashboard:
            print(
                f"open http://127.0.0.1:{given.port}/ in a browser; Ctrl-C ends the demo",
                flush=True,
            )
            await serve(dashboard, given.port)


if __name__ == "__main__":
    asyncio.run(main())
