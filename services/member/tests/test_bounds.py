"""Limits of requests and connections."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc import aio
from starlette.types import Receive, Scope, Send

from member.bounds import Bounds, limit_to_files
from member.health import Health
from member.metrics import Metrics
from member.parts import start
from member.rpc.server import GrpcServer
from member.service import MemberService
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from member.web.server import HttpServer, listen
from member.web.shield import HEADERS

BOUNDS = Bounds(
    request_bytes=1000,
    calls_at_once=1,
    calls_of_one=4,
    rpc_connections=4,
    connections=4,
    sending=timedelta(seconds=1),
)
GRACE = timedelta(seconds=1)
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
HEAD = "{} HTTP/1.1\r\nHost: x\r\n{}\r\n"


class Gate:
    """An app that answers with the length of the body, once its gate is open."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.set()
        if scope["path"] == "/gate":
            await self.open.wait()
        message = await receive()
        assert not message["more_body"]
        body = str(len(message["body"])).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection to the HTTP server, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: str, headers: str = "", body: bytes = b"") -> str:
        """Send a request and return the head of the answer."""
        self.writer.write(HEAD.format(request, headers).encode() + body)
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()


@pytest.fixture
async def gate() -> Gate:
    return Gate()


@pytest.fixture
async def address(gate: Gate) -> AsyncGenerator[tuple[str, int]]:
    """The address of an HTTP server with low limits."""
    stop = asyncio.Event()
    server = HttpServer(gate, listen("127.0.0.1", 0), grace=GRACE, bounds=BOUNDS)
    async with asyncio.TaskGroup() as group:
        host, _, port = (await start(group, server, stop)).partition(":")
        yield host, int(port)
        gate.open.set()
        stop.set()


@asynccontextmanager
async def connected(address: tuple[str, int], by: str = "127.0.0.1") -> AsyncGenerator[Wire]:
    reader, writer = await asyncio.open_connection(*address, local_addr=(by, 0))
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


@pytest.fixture
async def wire(address: tuple[str, int]) -> AsyncGenerator[Wire]:
    async with connected(address) as found:
        yield found


async def test_a_body_within_the_bound_arrives_whole_though_in_pieces(wire: Wire) -> None:
    piece = b"1f4\r\n" + b"x" * 500 + b"\r\n"
    body = piece * 2 + b"0\r\n\r\n"
    head = await wire.ask("POST /", "Transfer-Encoding: chunked\r\n", body)
    assert head.startswith("HTTP/1.1 200")
    assert await wire.reader.readexactly(4) == b"1000"


async def test_a_body_that_is_announced_too_big_is_refused_before_it_comes(wire: Wire) -> None:
    head = await wire.ask("POST /", "Content-Length: 1001\r\nExpect: 100-continue\r\n")
    assert head.startswith("HTTP/1.1 413")


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("POST /", "Content-Length: 1001\r\n", 413),
        ("GET", "", 400),
        ("GET /", "X: y\nz: 1\r\n", 400),
    ],
)
async def test_the_answer_to_an_unread_request_has_the_headers_of_all_answers(
    wire: Wire, request_line: str, headers: str, status: int
) -> None:
    head = (await wire.ask(request_line, headers)).lower()
    assert head.startswith(f"http/1.1 {status}")
    assert [name for name in HEADERS if f"\r\n{name.lower()}: " not in head] == []


async def test_nonsense_after_the_answer_ends_the_connection_and_fills_no_log(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    body = b"3e9\r\n" + b"x" * 1001 + b"\r\n"
    head = await wire.ask("POST /", "Transfer-Encoding: chunked\r\n", body)
    assert head.startswith("HTTP/1.1 413")
    wire.writer.write(b"no chunk\r\n")
    await wire.reader.read()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_body_that_turns_out_too_big_is_refused(wire: Wire) -> None:
    body = b"3e9\r\n" + b"x" * 1001 + b"\r\n"
    head = await wire.ask("POST /", "Transfer-Encoding: chunked\r\n", body)
    assert head.startswith("HTTP/1.1 413")


async def test_a_client_that_keeps_sending_after_the_answer_is_cut_off(wire: Wire) -> None:
    await wire.ask("POST /", "Content-Length: 1001\r\n", b"x")
    await wire.reader.read()
    assert wire.reader.at_eof()


async def test_after_a_request_the_next_is_answered_on_the_same_connection(wire: Wire) -> None:
    await wire.ask("POST /", "Content-Length: 3\r\n", b"abc")
    assert await wire.reader.readexactly(1) == b"3"
    assert (await wire.ask("GET /")).startswith("HTTP/1.1 200")


async def test_a_request_above_the_limit_gets_the_time_to_try_again(
    wire: Wire, gate: Gate, address: tuple[str, int]
) -> None:
    gate.open.clear()
    async with connected(address) as first, asyncio.TaskGroup() as group:
        waiting = group.create_task(first.ask("GET /gate"))
        await gate.reached.wait()
        refused = await wire.ask("GET /")
        gate.open.set()
    assert refused.startswith("HTTP/1.1 503")
    assert "\r\nretry-after: 1\r\n" in refused
    assert waiting.result().startswith("HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_health_checks_are_answered_while_the_server_is_full(
    wire: Wire, gate: Gate, address: tuple[str, int], path: str
) -> None:
    gate.open.clear()
    async with connected(address) as first, asyncio.TaskGroup() as group:
        group.create_task(first.ask("GET /gate"))
        await gate.reached.wait()
        answer = await wire.ask(f"GET {path}")
        gate.open.set()
    assert answer.startswith("HTTP/1.1 200")


async def test_a_request_after_many_others_is_accepted(wire: Wire) -> None:
    heads = [await wire.ask("HEAD /") for _ in range(3)]
    assert {head.partition("\r\n")[0] for head in heads} == {"HTTP/1.1 200 OK"}


async def test_a_client_that_only_connects_makes_room_for_later_ones(
    address: tuple[str, int],
) -> None:
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connected(address)) for _ in range(9)]
        assert [await it.reader.read() for it in silent[:6]] == [b""] * 6
        late = await stack.enter_async_context(connected(address))
        assert (await late.ask("GET /")).startswith("HTTP/1.1 200")


async def test_a_client_that_keeps_connecting_ends_no_connection_of_others(
    address: tuple[str, int],
) -> None:
    async with AsyncExitStack() as stack:
        honest = await stack.enter_async_context(connected(address, "127.0.0.2"))
        crowd = [await stack.enter_async_context(connected(address)) for _ in range(9)]
        assert [await it.reader.read() for it in crowd[:6]] == [b""] * 6
        assert (await honest.ask("GET /")).startswith("HTTP/1.1 200")


async def test_a_client_that_sends_no_body_makes_room_for_later_ones(
    address: tuple[str, int],
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(BOUNDS.connections):
            slow = await stack.enter_async_context(connected(address))
            head = await slow.ask("POST /", "Content-Length: 9\r\nExpect: 100-continue\r\n")
            assert head.startswith("HTTP/1.1 100")
        late = await stack.enter_async_context(connected(address))
        assert (await late.ask("GET /")).startswith("HTTP/1.1 200")


async def test_a_client_that_waits_for_an_answer_is_not_ended_for_others(
    wire: Wire, gate: Gate, address: tuple[str, int]
) -> None:
    gate.open.clear()
    waiting = asyncio.ensure_future(wire.ask("GET /gate"))
    await gate.reached.wait()
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connected(address)) for _ in range(9)]
        assert await silent[0].reader.read() == b""
        gate.open.set()
        assert (await waiting).startswith("HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(wire: Wire, sent: bytes) -> None:
    wire.writer.write(sent)
    assert await wire.reader.read() == b""


async def test_a_second_head_that_does_not_come_ends_the_connection(wire: Wire) -> None:
    await wire.ask("HEAD /")
    wire.writer.write(b"GET / HTTP/1.1\r\n")
    assert await wire.reader.read() == b""


async def test_a_body_that_does_not_come_is_waited_for_no_longer(wire: Wire) -> None:
    head = await wire.ask("POST /", "Content-Length: 9\r\n", b"x")
    assert head.startswith("HTTP/1.1 408")
    await wire.reader.read()
    assert wire.reader.at_eof()


async def test_slow_clients_keep_nobody_out(wire: Wire, address: tuple[str, int]) -> None:
    async with connected(address) as slow, asyncio.TaskGroup() as group:
        refused = group.create_task(slow.ask("POST /", "Content-Length: 9\r\n", b"x"))
        assert (await wire.ask("GET /")).startswith("HTTP/1.1 200")
    assert refused.result().startswith("HTTP/1.1 408")


async def test_an_answer_may_take_longer_than_a_client_may_send(wire: Wire, gate: Gate) -> None:
    gate.open.clear()
    asyncio.get_running_loop().call_later(BOUNDS.sending.total_seconds() * 1.5, gate.open.set)
    assert (await wire.ask("GET /gate")).startswith("HTTP/1.1 200")


async def test_headers_that_are_too_big_are_refused(wire: Wire) -> None:
    head = await wire.ask("GET /", f"X: {'x' * BOUNDS.header_bytes}\r\n")
    assert head.startswith("HTTP/1.1 431")


async def test_a_head_that_does_not_end_is_refused(wire: Wire) -> None:
    wire.writer.write(b"GET / HTTP/1.1\r\nHost: " + b"x" * BOUNDS.header_bytes)
    assert (await wire.reader.read()).startswith(b"HTTP/1.1 400")


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n",
    ],
    ids=["both", "two lengths", "folded", "bare LF"],
)
@pytest.mark.parametrize("before", [0, 1])
async def test_a_request_that_a_proxy_could_parse_differently_ends_the_connection(
    wire: Wire, framing: str, before: int
) -> None:
    heads = [await wire.ask("HEAD /") for _ in range(before)]
    head = await wire.ask("POST /", framing, b"0\r\n\r\n" + SMUGGLED)
    assert head.startswith("HTTP/1.1 400")
    assert b"HTTP/1.1" not in await wire.reader.read()
    assert len(heads) == before


async def test_a_request_in_one_piece_with_the_one_before_is_looked_at_too(wire: Wire) -> None:
    second = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n"
    wire.writer.write(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + second)
    assert (await wire.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert (await wire.reader.read()).startswith(b"HTTP/1.1 400")


@pytest.fixture
async def grpc_address(service: MemberService) -> AsyncGenerator[str]:
    stop = asyncio.Event()
    server = GrpcServer(
        service, "127.0.0.1:0", health=Health(), metrics=Metrics(), grace=GRACE, bounds=BOUNDS
    )
    async with asyncio.TaskGroup() as group:
        yield await start(group, server, stop)
        stop.set()


@pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)
async def test_metadata_that_is_too_big_is_refused(grpc_address: str) -> None:
    metadata = (("authorization", "x" * BOUNDS.header_bytes),)
    async with aio.insecure_channel(grpc_address) as channel:
        with pytest.raises(aio.AioRpcError) as caught:
            await MemberServiceStub(channel).GetMember(pb.GetMemberRequest(), metadata=metadata)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)
async def test_a_client_that_connects_to_grpc_and_sends_nothing_is_cut_off(
    grpc_address: str,
) -> None:
    host, _, port = grpc_address.partition(":")
    async with connected((host, int(port))) as silent:
        await silent.reader.read()
        assert silent.reader.at_eof()


def unfinished(channel: aio.Channel, method: str) -> Any:  # noqa: ANN401 - typed only in part
    """Return a call whose request is not sent yet."""
    return channel.stream_unary(method)()  # pyright: ignore[reportUnknownVariableType]


METHODS = pytest.mark.parametrize(
    "method",
    [
        "/member.v1.MemberService/GetMember",
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
    ],
)


@METHODS
@pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)
async def test_a_request_to_grpc_that_does_not_come_ends_its_call(
    grpc_address: str, method: str
) -> None:
    async with aio.insecure_channel(grpc_address) as channel:
        code = await code_of(unfinished(channel, method))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED


@METHODS
@pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)
async def test_a_call_of_grpc_without_a_request_is_refused(grpc_address: str, method: str) -> None:
    async with aio.insecure_channel(grpc_address) as channel:
        call = unfinished(channel, method)
        await call.done_writing()
        assert await code_of(call) is grpc.StatusCode.INVALID_ARGUMENT


@METHODS
@pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)
async def test_a_request_to_grpc_that_is_no_message_is_refused(
    grpc_address: str, method: str
) -> None:
    async with aio.insecure_channel(grpc_address) as channel:
        call = unfinished(channel, method)
        await call.write(b"\xff")
        assert await code_of(call) is grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def no_collector() -> Generator[None]:
    """Switch the garbage collector off: only the end of its last reference frees an object."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)
async def test_a_call_of_grpc_that_has_ended_makes_room_for_others(
    grpc_address: str, no_collector: None
) -> None:
    async with aio.insecure_channel(grpc_address) as channel:
        stub = MemberServiceStub(channel)
        answers = [await code_of(stub.GetMember(pb.GetMemberRequest())) for _ in range(40)]
    assert set(answers) == {grpc.StatusCode.UNAUTHENTICATED}


async def code_of(call: Awaitable[object]) -> grpc.StatusCode:
    """Return the status code of a call that fails."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    return caught.value.code()


@pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)
async def test_a_connection_too_many_to_grpc_is_ended_at_once(grpc_address: str) -> None:
    host, _, port = grpc_address.partition(":")
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(connected((host, int(port)))) for _ in range(4)]
        for wire in wires:
            wire.writer.write(HTTP2_PREFACE)
            await wire.reader.readexactly(9)  # the server's settings: the connection is open
        one_more = await stack.enter_async_context(connected((host, int(port))))
        one_more.writer.write(HTTP2_PREFACE)
        assert await one_more.reader.read() == b""


@pytest.mark.parametrize(
    ("files", "connections", "rpc_connections"), [(256, 80, 80), (1024, 464, 80), (64, 1, 1)]
)
def test_connections_leave_files_for_everything_else(
    files: int, connections: int, rpc_connections: int
) -> None:
    bounds = limit_to_files(Bounds(), files)
    assert (bounds.connections, bounds.rpc_connections) == (connections, rpc_connections)
