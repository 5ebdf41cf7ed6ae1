"""Wake those who wait for changes, in this process and in others on this machine.

Beside the file ``tasks.db`` is a folder ``tasks.db-wake``. A process that waits has a datagram
socket there, and a process that commits a change sends its topics to each socket. A waiter looks
once its socket is there, and a change is sent after its commit, so no change is missed between look
and wait. A program that does not send, such as one that adds tasks in its own transaction, is
noticed by a look at the file's version every `LOOK_S`.
"""

import asyncio
import itertools
import os
import socket
import sys
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

LOOK_S: Final = 0.25
"""Time between two looks for changes that nobody has sent."""

MAX_DATAGRAM: Final = 32 * 1024
"""Size of a datagram, bytes; if the topics are longer, all waiters are woken."""

LONGEST_FOLDER: Final = 64
"""Length of a folder's path, bytes, above which systems may refuse the path of a socket in it."""

SHORTEST_BUFFER: Final = 10
"""Datagrams that a socket holds for its process at least (``net.unix.max_dgram_qlen``)."""

UNSETTLED_NS: Final = 50_000_000
"""Age of a folder's modification below which another one may have the same time."""

EVERYTHING: Final = "*"

_numbers = itertools.count()


def pending_topic(queue: str) -> str:
    """Return the topic of those who wait for tasks of *queue*."""
    return f"pending:{queue}"


def ended_topic(queue: str, task_id: str) -> str:
    """Return the topic of those who wait for the end of a task."""
    return f"ended:{queue}:{task_id}"


CANCEL_TOPIC: Final = "cancel"
CONTROL_TOPIC: Final = "control"


def notify_waiters(path: Path, topics: Collection[str]) -> None:
    """Wake all who wait for one of *topics* of the file *path*, in this process and in others."""
    folder = _Folder(_folder_of(path))
    try:
        folder.send(topics, own=())
    finally:
        folder.close()


def _folder_of(path: Path) -> Path:
    """Return the folder beside the file itself, whatever links lead to it."""
    file = path.resolve()
    return file.with_name(f"{file.name}-wake")


class Wake:
    """Waiters of this process, and the sockets of others."""

    def __init__(self, path: Path | None, version: Callable[[], int]) -> None:
        """Reach others beside the file *path*, if there is one; *version* changes with the file."""
        self._version = version
        self._folder = None if path is None else _Folder(_folder_of(path))
        self._listeners: dict[asyncio.AbstractEventLoop, _Listener] = {}

    @contextmanager
    def listening(self, *topics: str) -> Generator[asyncio.Event]:
        """Give an event that is set when one of *topics* may have changed, from now on."""
        listener = self._listener()
        event = asyncio.Event()
        for topic in topics:
            listener.add(topic, event)
        try:
            yield event
        finally:
            for topic in topics:
                listener.remove(topic, event)

    def notify(self, topics: Collection[str]) -> None:
        """Wake all who wait for one of *topics*."""
        listeners = list(self._listeners.values())
        for listener in listeners:
            listener.notify(topics)
        if self._folder is not None:
            self._folder.send(topics, {listener.name for listener in listeners})

    def close(self) -> None:
        """Give the sockets back."""
        listeners, self._listeners = self._listeners, {}
        for listener in listeners.values():
            listener.close()
        if self._folder is not None:
            self._folder.close()

    def _listener(self) -> "_Listener":
        loop = asyncio.get_running_loop()
        for other, listener in tuple(self._listeners.items()):
            if other.is_closed():
                self._listeners.pop(other, None)  # another thread may have been faster
                listener.close()
        found = self._listeners.get(loop)
        if found is None:
            found = self._listeners[loop] = _Listener(loop, self._folder, self._version)
        return found


async def wait_for(event: asyncio.Event, longest_s: float) -> bool:
    """Return True once *event* is set, or False after *longest_s* seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            await event.wait()
    return event.is_set()


class _Listener:
    """The waiters of one event loop.

    Attributes:
        name: Name of its socket; empty if it has none.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, folder: "_Folder | None", version: Callable[[], int]
    ) -> None:
        self._loop = loop
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._version = version
        self._seen = -1
        self._timer: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None
        self.name = ""
        self._folder = folder
        self._bind()

    def add(self, topic: str, event: asyncio.Event) -> None:
        self._waiting.setdefault(topic, set()).add(event)
        if self._timer is None and self._folder is not None:
            self._seen = self._version()
            self._timer = self._loop.call_later(LOOK_S, self._look)

    def remove(self, topic: str, event: asyncio.Event) -> None:
        events = self._waiting[topic]
        events.discard(event)
        if not events:
            del self._waiting[topic]
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def notify(self, topics: Collection[str]) -> None:
        """Wake those who wait for one of *topics*, from any thread."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            self._set(topics)
        else:
            with suppress(RuntimeError):  # the loop has ended, and with it all who waited
                self._loop.call_soon_threadsafe(self._set, topics)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unbind()

    def _bind(self) -> None:
        if self._folder is not None:
            self.name, self._socket = self._folder.bind()
        if self._socket is not None:
            self._loop.add_reader(self._socket, self._receive, self._socket)

    def _unbind(self) -> None:
        if self._socket is not None and self._folder is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._socket)
            self._socket.close()
            self._folder.unlink(self.name)
            self._socket = None

    def _set(self, topics: Collection[str]) -> None:
        found = self._waiting if EVERYTHING in topics else topics
        for topic in [*found]:
            for event in self._waiting.get(topic, ()):
                event.set()

    def _receive(self, receiver: socket.socket) -> None:
        """Read what others have sent; anybody who may write the file may send."""
        for count in itertools.count(1):
            try:
                data = receiver.recv(2 * MAX_DATAGRAM)
            except OSError:  # nothing left
                return
            try:
                topics = msgspec.msgpack.decode(data, type=list[str])
            except msgspec.DecodeError:
                topics = [EVERYTHING]
            if count == SHORTEST_BUFFER:  # it may have been full, and what was sent then is lost
                topics = [EVERYTHING]
            self._set(topics)

    def _look(self) -> None:
        folder = self._folder
        if self._socket is not None and folder is not None and not folder.has(self.name):
            self._unbind()  # somebody has deleted or moved its name
            self._bind()
        version = self._version()
        if version != self._seen:
            self._seen = version
            self._set([EVERYTHING])
        self._timer = self._loop.call_later(LOOK_S, self._look)


class _Folder:
    """The sockets of all processes that wait for changes of one file; threads may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] = []
        self._modified_ns: int | None = None
        self._sender: socket.socket | None = None

    def bind(self) -> tuple[str, socket.socket | None]:
        """Return the name of a new socket and the socket; without one, only looks find changes."""
        name = f"{os.getpid()}-{next(_numbers)}-{os.urandom(4).hex()}"
        receiver = _open_socket()
        if receiver is None:
            return "", None
        try:
            self._path.mkdir(mode=0o700, exist_ok=True)
            with self._short_path() as folder:
                receiver.bind(f"{folder}/{name}")
        except OSError:
            receiver.close()
            return "", None
        return name, receiver

    def send(self, topics: Collection[str], own: Collection[str]) -> None:
        """Send *topics* to all sockets but our *own*; never raise: the change is committed."""
        names = [name for name in self._list() if name not in own]
        if not names:
            return
        sender = self._sender = self._sender or _open_socket()
        if sender is None:
            return
        data = msgspec.msgpack.encode([*topics])
        if len(data) > MAX_DATAGRAM:
            data = msgspec.msgpack.encode([EVERYTHING])
        with suppress(OSError), self._short_path() as folder:
            for name in names:
                try:
                    sender.sendto(data, f"{folder}/{name}")
                except ConnectionRefusedError:
                    self.unlink(name)  # its process is dead
                except OSError:  # its buffer is full, so it is awake; else its next look finds it
                    continue

    def has(self, name: str) -> bool:
        """Return whether the socket *name* is there."""
        return (self._path / name).exists()

    def unlink(self, name: str) -> None:
        """Remove a socket's name."""
        self._modified_ns = None
        with suppress(OSError):
            (self._path / name).unlink()

    def close(self) -> None:
        """Give back what belongs to this process; others may be about to use the folder."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()

    def _list(self) -> list[str]:
        """Return the names of all sockets; read the folder only if it has changed."""
        try:
            modified_ns = self._path.stat().st_mtime_ns
            if modified_ns != self._modified_ns:
                self._names = os.listdir(self._path)
                settled = time.time_ns() - modified_ns > UNSETTLED_NS
                self._modified_ns = modified_ns if settled else None
        except OSError:
            return []
        return self._names

    @contextmanager
    def _short_path(self) -> Generator[str]:
        """Give a path of the folder that is short enough, if need be one through a descriptor."""
        path = str(self._path)
        if len(os.fsencode(path)) <= LONGEST_FOLDER or sys.platform != "linux":
            yield path
            return
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{number}"
        finally:
            os.close(number)


def _open_socket() -> socket.socket | None:
    """Return a datagram socket; None if the system has none, or this process may open no more."""
    if not hasattr(socket, "AF_UNIX"):
        return None
    try:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    except OSError:
        return None
    opened.setblocking(False)
    return opened
