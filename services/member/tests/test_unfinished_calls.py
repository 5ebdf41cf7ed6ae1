"""gRPC calls whose requests never arrive completely."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from services.member.tests.http2 import Http2Client
from services.member.tests.programs import (
    Program,
    create_alice,
    output_of,
    output_until,
    program,
)
from tests.support.waiting import wait_until

CONNECTIONS, STREAMS = range(69), 120
WITHIN_BOUNDS, BEYOND_BOUNDS = 16_000, 62_000
CREATE = "/member.v1.MemberService/CreateMember"
CHECK = "/grpc.health.v1.Health/Check"
MOST_KIB = 512 * 1024


@asynccontextmanager
async def attacker(address: str) -> AsyncGenerator[Http2Client]:
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    client = Http2Client(reader, writer)
    listening = asyncio.create_task(client.listen())
    try:
        yield client
    finally:
        listening.cancel()
        writer.transport.abort()
        await asyncio.gather(listening, return_exceptions=True)


async def attack(client: Http2Client, path: str, size: int) -> None:
    """Begin calls whose requests lack their last byte."""
    for number in range(STREAMS):
        await client.begin(2 * number + 1, path, b"x" * size)


async def peak_kib(process: Program) -> int:
    status = await asyncio.to_thread(Path(f"/proc/{process.pid}/status").read_text)
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


async def lines_of(process: Program) -> list[bytes]:
    return (await output_of(process)).splitlines()


async def statuses(site: str) -> Sequence[int]:
    async with httpx.AsyncClient(base_url=f"http://{site}", timeout=30) as client:
        return [(await client.get(path)).status_code for path in ("/healthz", "/readyz")]


@pytest.mark.parametrize(
    ("path", "size"),
    [(CREATE, BEYOND_BOUNDS), (CREATE, WITHIN_BOUNDS), (CHECK, WITHIN_BOUNDS)],
)
async def test_requests_that_never_come_whole_do_no_harm_and_end(
    variables: dict[str, str], tmp_path: Path, path: str, size: int
) -> None:
    async with program(variables, tmp_path) as process, AsyncExitStack() as stack:
        started = json.loads(await output_until(process, b"member service started"))
        said = asyncio.create_task(lines_of(process))
        clients = [await stack.enter_async_context(attacker(started["grpc"])) for _ in CONNECTIONS]
        attacks = [asyncio.create_task(attack(client, path, size)) for client in clients]
        assert await statuses(started["http"]) == [200, 200]
        await asyncio.gather(*attacks)
        assert await statuses(started["http"]) == [200, 200]
        # Well before the minute after which gRPC ends an idle connection.
        await wait_until(lambda: all(len(client.ended) == STREAMS for client in clients), 60)
        assert await peak_kib(process) < MOST_KIB
        await create_alice(started["grpc"])
        process.send_signal(signal.SIGTERM)
        assert len(await said) < 100
