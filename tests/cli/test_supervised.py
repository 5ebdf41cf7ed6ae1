"""A child tells its supervisor that it lives, and asks to be replaced."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from pyasynq import Server
from pyasynq.cli import supervised
from pyasynq.cli.supervised import ASK, BEAT, CHILD, LINKED, SupervisorLink


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Yield the supervisor's end of the socket that is the stdin of this process."""
    ours, stdin = socket.socketpair()
    with ours, stdin, stdin.makefile() as file:
        monkeypatch.setattr(sys, "stdin", file)
        monkeypatch.setenv(CHILD, LINKED)
        ours.setblocking(False)
        yield ours


@pytest.fixture
async def link(supervisor: socket.socket) -> AsyncIterator[SupervisorLink]:
    """Yield the child's link to *supervisor*."""
    link = SupervisorLink(Server("unused:1"))
    yield link
    assert link._socket is not None
    link._socket.close()


async def read(supervisor: socket.socket) -> bytes:
    """Return the next message of the child."""
    return await asyncio.get_running_loop().sock_recv(supervisor, 1)


async def test_a_child_gives_signs_of_life(
    supervisor: socket.socket, link: SupervisorLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "BEAT_S", 0.01)
    beating = asyncio.create_task(link.run())
    assert [await read(supervisor) for _ in range(3)] == [BEAT] * 3
    beating.cancel()


async def test_a_supervisor_that_does_not_read_does_not_block_the_child(
    supervisor: socket.socket, link: SupervisorLink
) -> None:
    sent = [link._send(BEAT) for _ in range(100_000)]
    assert len(sent) > len(supervisor.recv(100_000))  # the others did not fit


async def test_a_child_asks_again_until_it_is_replaced(
    supervisor: socket.socket, link: SupervisorLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "ASK_AGAIN_S", 0.01)
    waiting = asyncio.create_task(link.wait_for_successor())
    assert [await read(supervisor) for _ in range(2)] == [ASK] * 2
    link._retired.set()  # as its thread does; a thread would outlive this test
    await waiting


async def test_a_supervisor_of_an_earlier_version_gets_no_message(
    supervisor: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHILD, "1")
    SupervisorLink(Server("unused:1"))._send(BEAT)
    with pytest.raises(BlockingIOError):
        supervisor.recv(1)
