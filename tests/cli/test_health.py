"""``/livez``, ``/readyz`` and ``/healthz`` say whether a worker works."""

import asyncio
import multiprocessing
import signal
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import msgspec
import pytest

from pyasynq import Server
from pyasynq.cli import health, http
from tests.server.handlers import Handler
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker notice within tenths of a second what it notices within 5 or 10 s."""
    monkeypatch.setattr("pyasynq.server.upkeep.heartbeater.BEAT_S", 0.1)
    monkeypatch.setattr("pyasynq.broker.redis.work.WAIT_S", 0.1)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Yield a Redis that a test may stop."""
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def serve_health(redis_url: str) -> AsyncGenerator[tuple[Server, int]]:
    """Yield a running server and the port at which it can be asked."""
    port = free_port()
    async with Server(redis_url, server_id="me").running(Handler()) as server:
        async with http.serve("127.0.0.1", port, health.make_pages(server)):
            yield server, port


async def ask(port: int, request: bytes = b"GET /healthz HTTP/1.1\r\n\r\n") -> tuple[str, object]:
    """Return status and body of the answer to *request*."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), msgspec.json.decode(body) if body else None


async def test_a_worker_that_works_is_healthy(redis_url: str) -> None:
    async with serve_health(redis_url) as (_, port):
        answer = await ask(port)
    assert answer == ("HTTP/1.1 200 OK", {"server": "me", "state": "active", "problem": None})


async def test_a_worker_that_takes_no_more_is_not_healthy(redis_url: str) -> None:
    async with serve_health(redis_url) as (server, port):
        server.stop()
        status, body = await ask(port)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert body == {"server": "me", "state": "stopped", "problem": "the server is stopped"}


async def test_a_worker_without_redis_is_not_healthy(own_redis: RedisServer) -> None:
    async with serve_health(own_redis.url) as (_, port):
        own_redis.stop()
        status, _ = await ask(port)
        own_redis.start()
    assert status == "HTTP/1.1 503 Service Unavailable"


async def test_a_worker_whose_redis_hangs_does_not_hang_with_it(own_redis: RedisServer) -> None:
    async with serve_health(f"{own_redis.url}?socket_timeout=600") as (_, port):
        own_redis.pause()
        status, body = await ask(port)
        own_redis.resume()
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert body == {"server": "me", "state": "active", "problem": "the broker does not answer"}


# -- ready -----------------------------------------------------------------------------------------


async def ask_ready(port: int) -> tuple[str, str]:
    """Return status and problem of the answer for ``/readyz``."""
    status, body = await ask(port, b"GET /readyz HTTP/1.1\r\n\r\n")
    return status.removeprefix("HTTP/1.1 "), str(cast("dict[str, object]", body)["problem"])


async def is_ready(port: int) -> bool:
    """Tell whether the worker is ready."""
    return (await ask_ready(port))[0] == "200 OK"


async def has_problem(port: int, problem: str) -> bool:
    """Tell whether the worker is not ready because of *problem*."""
    status, found = await ask_ready(port)
    return status == "503 Service Unavailable" and problem in found


async def test_a_worker_is_ready_once_it_has_written_its_record(redis_url: str) -> None:
    async with serve_health(redis_url) as (_, port):
        await wait_until(lambda: is_ready(port))


async def test_a_worker_that_takes_no_more_tasks_is_not_ready(redis_url: str) -> None:
    async with serve_health(redis_url) as (server, port):
        server.stop()
        assert await has_problem(port, "the server is stopped")


async def test_a_worker_is_not_ready_while_redis_is_away(own_redis: RedisServer) -> None:
    async with serve_health(own_redis.url) as (_, port):
        await wait_until(lambda: is_ready(port))
        own_redis.stop()
        await wait_until(lambda: has_problem(port, "Redis: "))
        own_redis.start()
        await wait_until(lambda: is_ready(port))


async def test_a_worker_is_not_ready_while_redis_hangs(own_redis: RedisServer) -> None:
    async with serve_health(own_redis.url) as (_, port):
        await wait_until(lambda: is_ready(port))
        own_redis.pause()
        await wait_until(lambda: has_problem(port, "Redis: "))
        own_redis.resume()
        await wait_until(lambda: is_ready(port))


async def test_a_worker_is_not_ready_while_its_redis_is_a_replica(own_redis: RedisServer) -> None:
    async with serve_health(own_redis.url) as (_, port):
        await wait_until(lambda: is_ready(port))
        with closing(own_redis.client()) as client:
            client.replicaof("127.0.0.1", free_port())
            await wait_until(lambda: has_problem(port, "read only replica"))
            client.replicaof("NO", "ONE")
        await wait_until(lambda: is_ready(port))


async def test_a_worker_is_not_ready_while_redis_is_full(own_redis: RedisServer) -> None:
    async with serve_health(own_redis.url) as (_, port):
        await wait_until(lambda: is_ready(port))
        with closing(own_redis.client()) as client:
            client.config_set("maxmemory", 1)
            await wait_until(lambda: has_problem(port, "'maxmemory'"))
            client.config_set("maxmemory", 0)
        await wait_until(lambda: is_ready(port))


async def test_a_worker_without_rights_is_not_ready(own_redis: RedisServer) -> None:
    async with serve_health(own_redis.url) as (_, port):
        await wait_until(lambda: is_ready(port))
        with closing(own_redis.client()) as client:
            client.execute_command("ACL", "SETUSER", "default", "-sadd")
            await wait_until(lambda: has_problem(port, "user executing the script can't run"))


async def test_a_worker_that_may_take_no_tasks_is_not_ready(own_redis: RedisServer) -> None:
    async with serve_health(own_redis.url) as (_, port):
        await wait_until(lambda: is_ready(port))
        with closing(own_redis.client()) as client:
            client.execute_command("ACL", "SETUSER", "default", "-blmove")
            await wait_until(lambda: has_problem(port, "blmove"))


# -- live ------------------------------------------------------------------------------------------


async def test_a_worker_that_cannot_reach_redis_is_alive(own_redis: RedisServer) -> None:
    async with serve_health(own_redis.url) as (_, port):
        own_redis.stop()
        answer = await ask(port, b"GET /livez HTTP/1.1\r\n\r\n")
        own_redis.start()
    assert answer == ("HTTP/1.1 200 OK", {"server": "me", "state": "active", "problem": None})


@dataclass
class Process:
    """A worker process whose last sign of life is *silent_s* seconds old."""

    silent_s: float
    server_id: str = "me"
    pid: int = 42
    socket: Path = Path("nowhere")


async def ask_all(path: str, *processes: Process | None) -> tuple[str, dict[str, object]]:
    """Return the supervisor's answer for *path* about *processes*."""
    running = [process for process in processes if process is not None]
    answer = await health.make_pages_of_all(lambda: processes, lambda: running)[path]()
    return answer.status, msgspec.json.decode(answer.body)


async def test_a_supervisor_is_alive_while_the_loops_of_all_workers_run() -> None:
    status, body = await ask_all(health.LIVE, Process(0.0), Process(9.0))
    assert (status, body["problem"]) == ("200 OK", None)


async def test_a_supervisor_is_not_alive_while_the_loop_of_a_worker_is_blocked() -> None:
    status, body = await ask_all(health.LIVE, Process(0.0), Process(12.3))
    problem = "the event loop of pid 42 has been blocked for 12 s"
    assert (status, body["problem"]) == ("503 Service Unavailable", problem)


async def test_a_supervisor_is_alive_but_not_ready_before_a_worker_starts() -> None:
    assert (await ask_all(health.LIVE, None))[0] == "200 OK"
    status, body = await ask_all(health.READY, None)
    assert (status, body["problem"]) == ("503 Service Unavailable", health.NOT_STARTED)


async def test_a_supervisor_is_not_ready_while_a_worker_does_not_answer() -> None:
    status, body = await ask_all(health.READY, Process(0.0))
    assert (status, body["problem"]) == ("503 Service Unavailable", "a worker does not answer")


# -- http ------------------------------------------------------------------------------------------


async def test_other_paths_are_not_found(redis_url: str) -> None:
    async with serve_health(redis_url) as (_, port):
        status, _ = await ask(port, b"GET / HTTP/1.1\r\n\r\n")
    assert status == "HTTP/1.1 404 Not Found"


async def test_what_is_no_http_ends_the_connection_alone(redis_url: str) -> None:
    async with serve_health(redis_url) as (_, port):
        await ask(port, b"\xff" * 100_000 + b"\n")
        status, _ = await ask(port)
    assert status == "HTTP/1.1 200 OK"


async def test_a_probe_that_asks_for_the_head_gets_no_body(redis_url: str) -> None:
    async with serve_health(redis_url) as (_, port):
        answer = await ask(port, b"HEAD /healthz HTTP/1.1\r\n\r\n")
    assert answer == ("HTTP/1.1 200 OK", None)


async def test_who_does_not_read_the_answer_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READING_S", 0.05)
    asked = asyncio.Event()

    async def page() -> http.Answer:
        asked.set()
        return http.Answer("200 OK", "text/plain", bytes(50_000_000))

    port, before = free_port(), asyncio.all_tasks()
    async with http.serve("127.0.0.1", port, {"/": page}):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            await wait_until(lambda: asked.is_set() and asyncio.all_tasks() == before)


def test_an_error_of_a_page_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> http.Answer:
        raise ValueError("no such number")

    async def ask_failing_page() -> None:
        port = free_port()
        async with http.serve("127.0.0.1", port, {"/": fail}):
            await ask(port, b"GET / HTTP/1.1\r\n\r\n")

    asyncio.run(ask_failing_page())
    assert "ValueError: no such number" in caplog.text


def _tell_and_live_on(told: Connection) -> None:
    told.send("running")
    signal.pause()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
async def test_a_forked_child_that_lives_on_does_not_keep_the_address(redis_url: str) -> None:
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_tell_and_live_on, args=(there,))
    async with serve_health(redis_url) as (_, port):
        child.start()
    try:
        assert here.poll(60)  # it has closed its copy of the socket before it runs
        socket.create_server(("127.0.0.1", port)).close()
    finally:
        child.kill()
        child.join()
