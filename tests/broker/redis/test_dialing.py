"""The first address that answers is found, and resolving a name needs no other thread pool."""

import asyncio
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import uvloop

from pyasynq.broker import open_broker
from pyasynq.broker.redis import dialing
from pyasynq.broker.redis.dialing import dial, first_of, look_up
from pyasynq.core.errors import BrokerUnavailableError
from tests.support.pools import full_default_pool
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import wait_until

SOON_S = 0.01
NEVER_S = 3600.0
NAME = "redis.example.org"


class Attempts:
    """Attempts by name, which end when a test ends them."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.ends = {name: asyncio.get_running_loop().create_future() for name in names}

    def each(self) -> list[Callable[[], Any]]:
        return [lambda name=name: self._attempt(name) for name in self.names]

    async def _attempt(self, name: str) -> str:
        self.started.append(name)
        try:
            return await self.ends[name]
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise


# -- the first of several --------------------------------------------------------------------------


async def test_a_first_that_answers_is_asked_alone() -> None:
    attempts = Attempts("a", "b")
    attempts.ends["a"].set_result("here")
    assert await first_of(attempts.each(), head_start_s=NEVER_S) == "here"
    assert attempts.started == ["a"]


async def test_the_next_is_asked_at_once_when_one_fails() -> None:
    attempts = Attempts("a", "b")
    attempts.ends["a"].set_exception(OSError("no"))
    attempts.ends["b"].set_result("here")
    assert await first_of(attempts.each(), head_start_s=NEVER_S) == "here"


async def test_the_next_is_asked_soon_when_one_hangs() -> None:
    attempts = Attempts("a", "b", "c")
    attempts.ends["c"].set_result("here")
    assert await first_of(attempts.each(), head_start_s=SOON_S) == "here"
    assert (attempts.started, attempts.cancelled) == (["a", "b", "c"], ["a", "b"])


async def test_one_that_is_slow_may_still_be_the_first() -> None:
    attempts = Attempts("a", "b")
    asked = asyncio.create_task(first_of(attempts.each(), head_start_s=SOON_S))
    await wait_until(lambda: attempts.started == ["a", "b"])
    attempts.ends["a"].set_result("slow")
    assert await asked == "slow"


async def test_when_all_fail_their_errors_are_returned() -> None:
    attempts = Attempts("a", "b", "c")
    attempts.ends["a"].set_exception(no := OSError("no"))
    attempts.ends["b"].cancel()
    attempts.ends["c"].set_exception(never := OSError("never"))
    found: Any = await first_of(attempts.each(), head_start_s=NEVER_S)
    assert (found[0], type(found[1]), found[2]) == (no, TimeoutError, never)


@pytest.mark.parametrize("timeout_s", [0, SOON_S])
async def test_attempts_that_hang_or_never_started_are_timeouts(timeout_s: float) -> None:
    attempts = Attempts("a", "b", "c")
    found: Any = await first_of(attempts.each(), head_start_s=NEVER_S, timeout_s=timeout_s)
    assert [type(error) for error in found] == [TimeoutError] * 3


async def test_a_success_together_with_the_first_is_discarded() -> None:
    attempts = Attempts("a", "b")
    discarded: list[object] = []
    asked = asyncio.create_task(
        first_of(attempts.each(), head_start_s=SOON_S, discard=discarded.append)
    )
    await wait_until(lambda: attempts.started == ["a", "b"])
    attempts.ends["b"].set_result("b")
    attempts.ends["a"].set_result("a")
    assert (await asked, discarded) == ("a", ["b"])


async def test_a_caller_that_gives_up_cancels_all_attempts() -> None:
    attempts = Attempts("a", "b")
    asked = asyncio.create_task(first_of(attempts.each(), head_start_s=SOON_S))
    await wait_until(lambda: attempts.started == ["a", "b"])
    asked.cancel()
    await asyncio.wait([asked])
    assert (asked.cancelled(), sorted(attempts.cancelled)) == (True, ["a", "b"])


async def test_a_success_as_the_caller_gives_up_is_discarded() -> None:
    attempts = Attempts("a", "b")
    discarded: list[object] = []
    asked = asyncio.create_task(
        first_of(attempts.each(), head_start_s=SOON_S, discard=discarded.append)
    )
    await wait_until(lambda: attempts.started == ["a", "b"])
    attempts.ends["a"].set_result("a")
    await asyncio.sleep(0)  # the attempt has ended; `first_of` has not seen it yet
    asked.cancel()
    await asyncio.wait([asked])
    assert (asked.cancelled(), discarded) == (True, ["a"])


# -- names -----------------------------------------------------------------------------------------


class Resolver:
    """A resolver in place of the system's; a test can delay its answers."""

    def __init__(self, addresses: list[tuple[Any, ...]]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def getaddrinfo(self, host: str, *_: object, flags: int = 0, **__: object) -> object:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        self.asked.append(host)
        self.may_answer.wait()
        return self.addresses


def address_info(
    port: int, *, family: int = socket.AF_INET, host: str = "127.0.0.1"
) -> tuple[Any, ...]:
    """Return the resolver's result for an address."""
    rest = () if family == socket.AF_INET else (0, 0)
    return (family, socket.SOCK_STREAM, 0, "", (host, port, *rest))


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    """Yield the resolver in use; it knows no names."""
    resolver = Resolver([])
    monkeypatch.setattr(dialing.socket, "getaddrinfo", resolver.getaddrinfo)
    yield resolver
    resolver.may_answer.set()


@pytest.fixture(scope="module")
def server_with_port() -> Iterator[RedisServer]:
    with RedisServer(port=free_port()) as server:
        yield server


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_redis_is_reached_while_handlers_fill_the_pool(
    host: str, server_with_port: RedisServer
) -> None:
    broker = open_broker(f"redis://{host}:{server_with_port.port}")
    with full_default_pool():
        await broker.ping()
    await broker.aclose()


async def test_a_name_that_does_not_exist_is_reported() -> None:
    broker = open_broker("redis://no-such-host.invalid")
    with pytest.raises(BrokerUnavailableError, match=r"connecting to no-such-host\.invalid:6379"):
        await broker.ping()
    await broker.aclose()


async def test_an_invalid_host_name_is_reported() -> None:
    broker = open_broker(f"redis://{'a' * 64}.example.org")
    with pytest.raises(BrokerUnavailableError):
        await broker.ping()
    await broker.aclose()


async def test_concurrent_lookups_of_a_name_share_the_answer(resolver: Resolver) -> None:
    resolver.addresses = [address_info(1)]
    resolver.may_answer.clear()
    first, second = (asyncio.create_task(look_up(NAME, 1)) for _ in range(2))
    await wait_until(lambda: resolver.asked)
    first.cancel()
    resolver.may_answer.set()
    assert await second == [(socket.AF_INET, ("127.0.0.1", 1))]
    assert resolver.asked == [NAME]


async def test_a_name_is_looked_up_again_for_the_next_call(resolver: Resolver) -> None:
    resolver.addresses = [address_info(1)]
    await look_up(NAME, 1)
    resolver.addresses = [address_info(2)]
    assert await look_up(NAME, 1) == [(socket.AF_INET, ("127.0.0.1", 2))]


async def test_without_a_thread_to_look_it_up_a_name_is_unknown_for_now(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    resolver.addresses = [address_info(1)]
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(OSError, match="can't start new thread"):
            await look_up(NAME, 1)
    assert await look_up(NAME, 1)


# -- sockets ---------------------------------------------------------------------------------------


@contextmanager
def black_hole() -> Generator[tuple[str, int]]:
    """Yield an address that never answers: its queue of connections is full."""
    with closing(socket.socket()) as listener, closing(socket.socket()) as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting.connect(address)
        yield address


async def test_the_next_address_of_a_name_is_tried_when_one_hangs(
    resolver: Resolver, server_with_port: RedisServer
) -> None:
    with black_hole() as (_, port):
        resolver.addresses = [address_info(port), address_info(server_with_port.port)]
        with closing(await dial(NAME, 6379)) as connected:
            assert connected.getpeername()[1] == server_with_port.port


async def test_the_next_address_of_a_name_is_tried_when_one_refuses(
    resolver: Resolver, server_with_port: RedisServer
) -> None:
    refusing = address_info(free_port(), family=socket.AF_INET6, host="::1")
    resolver.addresses = [refusing, address_info(server_with_port.port)]
    with closing(await dial(NAME, 6379)) as connected:
        assert connected.getpeername()[1] == server_with_port.port


async def test_a_name_whose_addresses_all_refuse_is_refused(resolver: Resolver) -> None:
    resolver.addresses = [address_info(free_port()), address_info(free_port())]
    with pytest.raises(ConnectionRefusedError):
        await dial(NAME, 6379)


def test_another_event_loop_reaches_redis_too(server_with_port: RedisServer) -> None:
    async def ping() -> None:
        broker = open_broker(f"redis://localhost:{server_with_port.port}")
        await broker.ping()
        await broker.aclose()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ping())
