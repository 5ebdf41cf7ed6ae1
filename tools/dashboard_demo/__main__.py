"""Show the dashboard on a busy system: ``make dashboard-demo``.

It starts a Redis of its own, workers of two machines, a scheduler, a program that enqueues, a worker
in Go if there is Go, and the dashboard. Ctrl-C ends them all.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import producer
import uvicorn

import pyasynq
from pyasynq.dashboard import Dashboard

HERE = Path(__file__).parent
GO_PEER = HERE.parent.parent / "tests/interop/peer"
PATIENCE_S = 10.0


@asynccontextmanager
async def program(*command: str | Path, **variables: str) -> AsyncGenerator[None]:
    """Run *command* in silence until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=HERE,
        env={**os.environ, **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE_S)
        except TimeoutError:
            process.kill()
            await process.wait()


async def build_go_worker(folder: Path) -> Path | None:
    """Return the program of a worker in Go, or None if it cannot be built here."""
    go = shutil.which("go")
    if go is None:
        return None
    path = folder / "worker-in-go"
    build = await asyncio.create_subprocess_exec(
        go,
        *("build", "-o", path, "."),
        cwd=GO_PEER,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return path if await build.wait() == 0 else None


def cli(*words: str) -> Sequence[str]:
    """Return the command line that runs ours."""
    return (sys.executable, "-m", "pyasynq", *words)


@asynccontextmanager
async def shop(redis_port: int, folder: Path) -> AsyncGenerator[str]:
    """Run the whole system but the dashboard; yield its address."""
    address = f"127.0.0.1:{redis_port}"
    url = f"redis://{address}"
    server = shutil.which("redis-server")
    if server is None:
        sys.exit("redis-server is missing: install it (Debian: apt-get install redis-server)")
    async with AsyncExitStack() as stack:
        options = ("--port", f"{redis_port}", "--bind", "127.0.0.1", "--dir", f"{folder}")
        memory = ("--save", "", "--maxmemory", "256mb", "--maxmemory-policy", "noeviction")
        await stack.enter_async_context(program(server, *options, *memory))
        client = await stack.enter_async_context(pyasynq.Client(url))
        await wait_until_ready(client)
        await producer.prepare(client)
        for host, slots in (("worker-tp-1", "24"), ("worker-kh-1", "16")):
            worker = cli("worker", "shop:app", "-u", url, "-c", slots)
            await stack.enter_async_context(program(*worker, DEMO_HOST=host))
        scheduler = cli("scheduler", "shop:app", "-u", url)
        await stack.enter_async_context(program(*scheduler))
        if go_worker := await build_go_worker(folder):
            words = ("work", "-redis", address, "-queues", "critical=1", "-concurrency", "8")
            await stack.enter_async_context(program(go_worker, *words))
        producing = asyncio.create_task(producer.produce(client))
        stack.callback(producing.cancel)
        async with pyasynq.Inspector(url) as inspector:
            await inspector.pause("reports")
        yield url


async def wait_until_ready(client: pyasynq.Client) -> None:
    """Return when Redis answers."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await client.ping()
            except pyasynq.BrokerError:
                await asyncio.sleep(0.05)
            else:
                return


async def main() -> None:
    """Run until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="port of the dashboard")
    parser.add_argument("--redis-port", type=int, default=6399, help="port of the demo's Redis")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        async with shop(given.redis_port, Path(folder)) as url, Dashboard(url) as dashboard:
            print(f"open http://127.0.0.1:{given.port}/ in a browser; Ctrl-C ends the demo", flush=True)
            config = uvicorn.Config(dashboard, port=given.port, log_level="warning")
            await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main())
