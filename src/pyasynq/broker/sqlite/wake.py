"""Wake those who wait for changes, in this process and in others on this machine.

Beside the file ``tasks.db`` is a folder ``tasks.db-wake``. A process that waits has a datagram
socket there, and whoever commits a change sends the changed topics to each socket. A waiter looks
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

LONGEST_PATH: Final = 100
"""Length of a socket's path that every system takes, bytes."""

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
    def listening(self, topic: str) -> Generator[asyncio.Event]:
        """Give an event that is set when *topic* may have changed, from now on."""
        listener = self._listener()
        event = asyncio.Event()
        listener.add(topic, event)
        try:
            yield event
        finally:
            listener.remove(topic, event)

    def notify(self, topics: Collection[str]) -> None:
        """Wake all who wait for one of *topics*."""
        for listener in list(self._listeners.values()):
            listener.notify(topics)
        if self._folder is not None:
            own = {listener.name for listener in self._listeners.values()}
            self._folder.send(topics, own)

    def close(self) -> None:
        """Give the sockets back."""
        for listener in self._listeners.values():
            listener.close()
        self._listeners = {}
        if self._folder is not None:
            self._folder.close()

    def _listener(self) -> "_Listener":
        loop = asyncio.get_running_loop()
        for other in [loop for loop in self._listeners if loop.is_closed()]:
            self._listeners.pop(other).close()
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
        if folder is not None:
            self.name, self._socket = folder.bind()
        if self._socket is not None:
            loop.add_reader(self._socket, self._receive, self._socket)

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
        while True:
            try:
                data = receiver.recv(2 * MAX_DATAGRAM)
            except OSError:  # nothing left
                return
            try:
                topics = msgspec.msgpack.decode(data, type=list[str])
            except msgspec.DecodeError:
                topics = [EVERYTHING]
            self._set(topics)

    def _look(self) -> None:
        version = self._version()
        if version != self._seen:
            self._seen = version
            self._set([EVERYTHING])
        self._timer = self._loop.call_later(LOOK_S, self._look)


class _Folder:
    """The sockets of all processes that wait for changes of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number: int | None = None
        self._names: list[str] = []
        self._modified_ns: int | None = None
        self._sender: socket.socket | None = None

    def bind(self) -> tuple[str, socket.socket | None]:
        """Return the name of a new socket and the socket; without one, only looks find changes."""
        name = f"{os.getpid()}-{next(_numbers)}-{os.urandom(4).hex()}"
        if not hasattr(socket, "AF_UNIX"):
            return "", None
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            receiver.setblocking(False)
            self._path.mkdir(mode=0o700, exist_ok=True)
            receiver.bind(self._address(name))
        except OSError:
            receiver.close()
            return "", None
        return name, receiver

    def send(self, topics: Collection[str], own: Collection[str]) -> None:
        """Send *topics* to all sockets but our *own*."""
        names = [name for name in self._list() if name not in own]
        if not names:
            return
        data = msgspec.msgpack.encode([*topics])
        if len(data) > MAX_DATAGRAM:
            data = msgspec.msgpack.encode([EVERYTHING])
        if self._sender is None:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.setblocking(False)
        for name in names:
            try:
                self._sender.sendto(data, self._address(name))
            except (ConnectionRefusedError, FileNotFoundError):
                self.unlink(name)  # its process is dead
            except OSError:  # its buffer is full, so it is awake; else its next look finds it
                continue

    def unlink(self, name: str) -> None:
        """Remove a socket's name."""
        self._modified_ns = None
        with suppress(OSError):
            (self._path / name).unlink()

    def close(self) -> None:
        """Give back what belongs to this process; others may be about to use the folder."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None
        if self._number is not None:
            os.close(self._number)
            self._number = None

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

    def _address(self, name: str) -> str:
        """Return the path of a socket; if too long, one through a descriptor of the folder."""
        path = str(self._path / name)
        if len(os.fsencode(path)) <= LONGEST_PATH or sys.platform != "linux":
            return path
        if self._number is None:
            self._number = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._number}/{name}"
