"""Accept connections up to a limit."""

import socket
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

from member.limits.keys import address_key

_MOST_LEAVING: Final = 8
"""Most connections that are shut down but not yet closed by the event loop."""


class Listener(socket.socket):
    """A listening socket that makes room for new connections.

    At the limit, a new connection ends one that waits for no answer. So strangers who only connect,
    or send no more than the head of a request, do not keep others out. The listener ends the oldest
    connection of the address with most connections: however fast one address connects, others have
    time for their handshake.
    """

    def __init__(self, listening: socket.socket) -> None:
        """Take over *listening*."""
        super().__init__(fileno=listening.detach())
        self._most = 0
        self._busy: Callable[[], Collection[int]] = tuple
        self._accepted: list[socket.socket] = []
        self._peers: WeakKeyDictionary[socket.socket, str] = WeakKeyDictionary()
        self._leaving: list[socket.socket] = []

    def limit(self, most: int, busy: Callable[[], Collection[int]]) -> None:
        """Accept at most *most* connections; *busy* returns the descriptors that must not end."""
        self._most = most
        self._busy = busy

    def accept(self) -> tuple[socket.socket, Any]:
        """Return a new connection; an earlier one may be shut down for it.

        Raises:
            BlockingIOError: If no client connects, or the loop has to close some sockets first.
        """
        self._leaving = _still_open(self._leaving)
        if len(self._leaving) >= _MOST_LEAVING:
            raise BlockingIOError
        connection, peer = super().accept()
        self._accepted = _still_open(self._accepted)
        self._peers[connection] = address_key(peer[0])
        if self._most and len(self._accepted) >= self._most:
            self._shut_one_down(connection)
        self._accepted.append(connection)
        return connection, peer

    def _shut_one_down(self, new: socket.socket) -> None:
        busy = self._busy()
        idle = [it for it in self._accepted if it.fileno() not in busy]
        held = Counter(self._peers[it] for it in self._accepted)
        # Of equal ones `max` returns the first, the oldest.
        leaving = max(idle, key=lambda it: held[self._peers[it]], default=new)
        if leaving is not new:
            self._accepted.remove(leaving)
        self._leaving.append(leaving)
        with suppress(OSError):  # the client was faster
            leaving.shutdown(socket.SHUT_RDWR)


def _still_open(connections: list[socket.socket]) -> list[socket.socket]:
    return [it for it in connections if it.fileno() >= 0]
