"""The child's side of supervision.

The stdin of a child is a socket that leads to its supervisor. Through it the child shows that its
event loop runs, and asks to be replaced; the supervisor answers once another process has taken its
place. If the supervisor dies, the socket closes, and the child shuts down.
"""

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.shutdown import GRACE_S, end_now
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.waiting import wait_for_first

if TYPE_CHECKING:
    from pyasynq.server import Server

log: Final = get_logger("pyasynq.worker")

CHILD: Final = "PYASYNQ_SUPERVISED"
SERVER_ID: Final = "PYASYNQ_SERVER_ID"
DEAD_SERVER: Final = "PYASYNQ_DEAD_SERVER"
SOCKET: Final = "PYASYNQ_HEALTH_SOCKET"

LINKED: Final = "2"
"""Value of `CHILD` under a supervisor that reads messages.

One of an earlier version, which may still run after an upgrade, sets 1. It takes a message for the
end of the child.
"""

BEAT: Final = b"."
"""The child's event loop runs."""

ASK: Final = b"r"
"""The child wants to be replaced."""

RETIRE: Final = b"r"
"""The supervisor's answer: another process takes tasks, so this one can end."""

BEAT_S: Final = 1.0
ASK_AGAIN_S: Final = 5.0


def is_child() -> bool:
    """Return whether a supervisor has started this process."""
    return CHILD in os.environ


def is_linked() -> bool:
    """Return whether the supervisor reads messages, and names files after numbers of children."""
    return os.environ.get(CHILD) == LINKED


class SupervisorLink:
    """Connects the worker of a child with its supervisor."""

    name = "link to the supervisor"

    def __init__(self, server: "Server") -> None:
        """Connect *server*."""
        self._server = server
        # A duplicate, because a socket object closes its descriptor.
        self._socket = socket.socket(fileno=os.dup(sys.stdin.fileno())) if is_linked() else None
        self._retired = asyncio.Event()

    def watch(self) -> None:
        """Begin to listen to the supervisor; shut the server down if the supervisor dies.

        This takes a thread, because the event loop may be blocked.
        """
        args = [asyncio.get_running_loop()]
        name = "pyasynq-supervised"
        threading.Thread(target=self._listen, args=args, name=name, daemon=True).start()

    async def run(self) -> None:
        """Give signs of life until cancelled."""
        while True:
            self._send(BEAT)
            await asyncio.sleep(BEAT_S)

    async def wait_for_successor(self) -> None:
        """Ask to be replaced; return when another process takes tasks in this one's place."""
        while not self._retired.is_set():
            self._send(ASK)
            await wait_for_first(self._retired.wait(), asyncio.sleep(ASK_AGAIN_S))

    def _send(self, message: bytes) -> None:
        # A supervisor that is suspended reads nothing: the message is dropped, because waiting
        # would block the event loop. If the supervisor is gone, the thread shuts the server down.
        if self._socket is None:
            return
        with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            self._socket.send(message, socket.MSG_DONTWAIT)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(ConnectionResetError):
            while os.read(sys.stdin.fileno(), 1):
                self._call_in(loop, self._retired.set)
        log.warning("the supervisor is gone: shutting down")
        self._call_in(loop, self._server.shut_down)
        time.sleep(self._server.longest_stop.total_seconds() + GRACE_S)
        end_now(Exit.FAILED)

    @staticmethod
    def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(call)
