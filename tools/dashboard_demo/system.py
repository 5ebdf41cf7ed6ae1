"""The whole system but the dashboard: Redis, workers, a scheduler, and what the customers do."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import history
import operators
import producer

import pyasynq

HERE = Path(__file__).parent
GO_PEER = HERE.parent.parent / "tests/interop/peer"
PATIENCE_S = 60.0


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


def programs(url: str) -> Iterator[tuple[Sequence[str], dict[str, str]]]:
    """Yield the command lines of workers and scheduler, with their variables."""
    for host, slots in (("worker-tp-1", "24"), ("worker-kh-1", "16")):
        yield cli("worker", "shop:app", "-u", url, "-c", slots), {"DEMO_HOST": host}
    yield cli("scheduler", "shop:app", "-u", url), {}


@asynccontextmanager
async def running(folder: Path) -> AsyncGenerator[str]:
    """Run the system until the end of the block, and yield the address of its Redis."""
    redis_port = free_port()
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
        for command, variables in programs(url):
            await stack.enter_async_context(program(*command, **variables))
        if go_worker := await build_go_worker(folder):
            words = ("work", "-redis", address, "-queues", "critical=1", "-concurrency", "8")
            await stack.enter_async_context(program(go_worker, *words))
        for work in (producer.produce(client), operators.operate(url), history.fill_hour(url)):
            task = asyncio.create_task(work)
            stack.callback(task.cancel)
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


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
