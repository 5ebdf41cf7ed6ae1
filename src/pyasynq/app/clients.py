"""The clients of an app: one for each event loop in which it is open."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

from pyasynq.client import Client
from pyasynq.core.errors import PyasynqError


class Clients:
    """Opens a client in each event loop that uses an app, and finds the one for a call."""

    def __init__(self, make: Callable[[], Client]) -> None:
        """Open clients that *make* returns."""
        self._make = make
        self._opened: dict[asyncio.AbstractEventLoop, _OpenClient] = {}
        self._lend: Callable[[], Client] | None = None

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
    """The client of one event loop, and the number of its users."""

    __slots__ = ("client", "users")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.users = 0
