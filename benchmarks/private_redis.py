"""A Redis for one measurement: empty, private, without persistence."""

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

START_TRIES = 500


class RedisMissingError(Exception):
    """There is no redis-server on this machine; install it, for example with apt-get."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running Redis.

    Attributes:
        address: Where it listens, as ``host:port``.
        client: A connection for reading statistics of the server.
    """

    address: str
    client: redis.Redis

    def size_bytes(self) -> int:
        """Return the memory of data and connections, bytes."""
        return int(self._info("memory")["used_memory"])

    def cpu_us(self) -> tuple[float, float]:
        """Return the CPU time of the whole process and of its main thread, µs."""
        cpu = self._info("cpu")
        whole = float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])
        main = float(cpu["used_cpu_user_main_thread"]) + float(cpu["used_cpu_sys_main_thread"])
        return whole * 1e6, main * 1e6

    def commands(self) -> dict[str, int]:
        """Return how often each command was called, by clients and by scripts."""
        stats = cast("dict[str, dict[str, int]]", self._info("commandstats"))
        return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}

    def requests(self) -> int:
        """Return how often it has read from a socket."""
        return int(self._info("stats")["total_reads_processed"])

    def clients(self) -> int:
        """Return the number of connections, `client` included."""
        return int(self._info("clients")["connected_clients"])

    def version(self) -> str:
        """Return its version."""
        return str(self._info("server")["redis_version"])

    def _info(self, section: str) -> dict[str, str | int | float]:
        return self.client.info(section)


@contextlib.asynccontextmanager
async def start() -> AsyncIterator[Server]:
    """Run an empty Redis on a loopback port, which every library can use.

    Raises:
        RedisMissingError: If there is no redis-server.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise RedisMissingError
    with tempfile.TemporaryDirectory(prefix="pyasynq-bench-") as home:
        port = find_free_port()
        process = await asyncio.create_subprocess_exec(
            program,
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", home),
            *("--save", "", "--appendonly", "no", "--maxclients", "16000"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            patient = Retry(ConstantBackoff(0.01), retries=START_TRIES)
            with contextlib.closing(redis.Redis(port=port, retry=patient)) as client:
                client.ping()
                yield Server(f"127.0.0.1:{port}", client)
        finally:
            process.kill()
            await process.wait()


def find_free_port() -> int:
    """Return a free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
