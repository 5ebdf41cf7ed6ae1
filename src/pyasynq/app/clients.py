"""The clients of an app: one for each event loop in which it is open, one for code without."""

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from pyasynq.client import Client, Flow, SyncClient
from pyasynq.core.batch import Batch, BatchInfo
from pyasynq.core.errors import OptionError, PyasynqError
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.info import TaskInfo
from pyasynq.core.task import Task
from pyasynq.runtime import calls
from pyasynq.runtime.forks import notify_on_fork
from pyasynq.runtime.loops import BoundLoop

T = TypeVar("T")

BLOCKS: Final = (
    "enqueue_sync of {!r} would block the event loop in which it was called: await enqueue there"
)


class Clients:
    """Opens a client in each event loop that uses an app, and finds the one for a call."""

    def __init__(
        self,
        make: Callable[[], Client],
        make_sync: Callable[[str], SyncClient],
        url: Callable[[], str],
    ) -> None:
        """Open clients.

        Args:
            make: Makes the client of an event loop.
            make_sync: Makes the client of an address, for code without an event loop.
            url: Returns the address of the app's broker.
        """
        self._make = make
        self._make_sync = make_sync
        self._url = url
        self._opened: dict[asyncio.AbstractEventLoop, _OpenClient] = {}
        self._lend: Callable[[], Client] | None = None
        self._sync: tuple[str, SyncClient] | None = None
        self._lock = threading.Lock()
        notify_on_fork(self)

    def current(self) -> Client:
        """Return the client that is open in this event loop, or else in the loop of another thread.

        Raises:
            PyasynqError: If there is none.
        """
        opened = self._of_this_loop() or self._of_another_loop()
        if opened is not None:
            return opened.client
        if self._lend is not None:
            return self._lend()
        msg = "the app has no open client: enqueue inside `async with app:`"
        if self._opened:
            msg += " in this event loop, because the loop in which the app was opened does not run"
        raise PyasynqError(msg)

    @property
    def broker(self) -> str | None:
        """Address of the app's broker; None if it has none, but a client of redis-py."""
        try:
            return self._url()
        except OptionError:
            return None

    def sync(self) -> SyncClient:
        """Return the client for code without an event loop; a new one if the last was closed.

        Raises:
            OptionError: If the app has no address, but a client of redis-py.
        """
        url = self._url()
        with self._lock:
            if self._sync is None or self._sync[0] != url or self._sync[1].closed:
                self._sync = url, self._make_sync(url)
            return self._sync[1]

    def enqueue_sync(self, task: Task) -> TaskInfo:
        """Enqueue *task* from code without ``await``.

        The client that is open in the loop of another thread does it, such as that of a worker for
        its plain functions; without one, `sync`.

        Raises:
            PyasynqError: In a loop in which the app is open or a handler runs: it would be blocked.
        """
        return self._call_sync(task.type, lambda client: client.enqueue(task))

    def enqueue_flow_sync(self, flow: Flow) -> FlowInfo:
        """Enqueue *flow* from code without ``await``; see `enqueue_sync`."""
        return self._call_sync(flow.name, lambda client: client.enqueue_flow(flow))

    def enqueue_batch_sync(self, batch: Batch) -> BatchInfo:
        """Enqueue *batch* from code without ``await``; see `enqueue_sync`."""
        return self._call_sync("a batch", lambda client: client.enqueue_batch(batch))

    def _call_sync(self, name: str, make: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        if self._of_this_loop() is not None or _in_coroutine_of_handler():
            raise PyasynqError(BLOCKS.format(name))
        opened = None if self._lend is not None else self._of_another_loop()
        if opened is None or not opened.bound.is_running():  # it may be in a process that forked
            return self.sync().call(make)
        return opened.bound.call_sync(functools.partial(make, opened.client))

    def after_fork(self) -> None:
        """Take a new lock in a child process: another thread may have held the old one."""
        self._lock = threading.Lock()

    @contextmanager
    def lending(self, lend: Callable[[], Client]) -> Generator[None]:
        """While the block runs, use the client of *lend* where none is open; for tests."""
        before, self._lend = self._lend, lend
        try:
            yield
        finally:
            self._lend = before

    async def open(self) -> None:
        """Open the client of this event loop, or count one more user if it is open."""
        for loop in [loop for loop in [*self._opened] if loop.is_closed()]:
            self._opened.pop(loop, None)  # no code can close it there any more
        loop = asyncio.get_running_loop()
        opened = self._opened.get(loop)
        if opened is None:
            client = await self._make().__aenter__()
            opened = self._opened[loop] = _OpenClient(client)
        opened.users += 1

    async def close(self) -> None:
        """Close the client of this event loop, unless it has other users.

        Raises:
            PyasynqError: If it was opened in another loop.
        """
        loop = asyncio.get_running_loop()
        opened = self._opened.get(loop)
        if opened is None:
            msg = "the app was opened in another event loop: leave it there"
            raise PyasynqError(msg)
        opened.users -= 1
        if not opened.users:
            del self._opened[loop]
            await opened.client.aclose()

    def _of_this_loop(self) -> "_OpenClient | None":
        try:
            return self._opened.get(asyncio.get_running_loop())
        except RuntimeError:
            return None

    def _of_another_loop(self) -> "_OpenClient | None":
        running = [it for loop, it in [*self._opened.items()] if loop.is_running()]
        return running[-1] if running else None


class _OpenClient:
    """The client of the event loop that runs here, and the number of its users."""

    __slots__ = ("bound", "client", "users")

    def __init__(self, client: Client) -> None:
        self.bound = BoundLoop()
        self.client = client
        self.users = 0


def _in_coroutine_of_handler() -> bool:
    """Return whether the caller is called by the coroutine of a handler, in an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return calls.current.get(None) is not None
