"""Accept connections, but no more than there may be."""

import socket
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

from member.limits.keys import address_key

_MOST_LEAVING: Final = 8
"""Connections that were shut down and that the event loop has not closed yet."""


class Listener(socket.socket):
    """A listening socket that makes room for who comes.

    When there are enough connections, one of those that wait for no answer ends, so that strangers
    who only connect, or send no more than the head of a request, keep nobody out. It is that of
    the address that has most, and of these the one that was accepted first: however fast somebody
    connects, others have the time that a handshake takes.
    """

    def __init__(self, listening: socket.socket) -> None:
        """Take over *listening*."""
        super().__init__(fileno=listening.detach())
        self._most = 0
        self._busy: Callable[[], Collection[int]] = tuple
        self._accepted: list[socket.socket] = []
        self._peers: WeakKeyDictionary[socket.socket, str] = WeakKeyDictionary()
        self._leaving: list[socket.socket] = []

    def bound(self, most: int, busy: Callable[[], Collection[int]]) -> None:
        """Have at most *most* connections; *busy* returns the descriptors that must not end."""
        self._most = most
        self._busy = busy

    def accept(self) -> tuple[socket.socket, Any]:
        """Return a new connection; an earlier one may be shut down for it.

        Raises:
            BlockingIOError: If nobody comes, or the loop has to close some first.
        """
        self._leaving = _open(self._leaving)
        if len(self._leaving) >= _MOST_LEAVING:
            raise BlockingIOError
        connection, peer = super().accept()
        self._accepted = _open(self._accepted)
        self._peers[connection] = address_key(peer[0])
        if self._most and len(self._accepted) >= self._most:
            self._shut_one_down(connection)
        self._accepted.append(connection)
        return connection, peer

    def _shut_one_down(self, new: socket.socket) -> None:
        busy = self._busy()
        idle = [it for it in self._accepted if it.fileno() not in busy]
        held = Counter(self._peers[it] for it in self._accepted)
        leaving = max(idle, key=lambda it: held[self._peers[it]], default=new)  # first of equals
        if leaving is not new:
            self._accepted.remove(leaving)
        self._leaving.append(leaving)
        with suppress(OSError):  # the client was faster
            leaving.shutdown(socket.SHUT_RDWR)


def _open(connections: list[socket.socket]) -> list[socket.socket]:
    return [it for it in connections if it.fileno() >= 0]
