"""Use a SQLite file in a process of its own: ``python -m tests.e2e.sqlite.peer URL``.

Reads calls as lines of JSON, ``[command, arguments]``, and answers each with a line of JSON. An
error of the library is answered as ``Class: text``.
"""

import asyncio
import ctypes
import json
import os
import resource
import socket
import sqlite3
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TextIO, TypeVar

from pyasynq import Client, Inspector, Task, TaskInfo
from pyasynq.broker import Lease, open_broker
from pyasynq.core.errors import PyasynqError
from pyasynq.core.verdict import DONE

T = TypeVar("T")


IMPORTED = ctypes
"""The library imports it later, when another user may not read it."""


class Peer:
    """The commands of a test: each public method is one."""

    def __init__(self, url: str) -> None:
        """Use the file at *url*, once a command needs it."""
        self._url = url
        self._path = Path(url.removeprefix("sqlite:///").partition("?")[0])
        self._client = Client(url)
        self._inspector = Inspector(url)
        self._broker = open_broker(url)
        self._leases: list[Lease] = []
        self._foreign: sqlite3.Connection | None = None
        self._child: TextIO | None = None

    async def enqueue(self, count: int, size: int = 10) -> list[str]:
        """Enqueue tasks of *size* bytes in one call; return their ids, or errors."""
        tasks = [_task(size) for _ in range(count)]
        answers = await self._client.enqueue_many(tasks)
        return [a.id if isinstance(a, TaskInfo) else _text(a) for a in answers]

    async def enqueue_until_refused(self, size: int) -> list[str]:
        """Enqueue tasks of *size* bytes one after another; return their ids, and the error last."""
        answers: list[str] = []
        while True:
            try:
                answers.append((await self._client.enqueue(Task("work", bytes(size)))).id)
            except PyasynqError as error:
                return [*answers, _text(error)]

    async def take(self, count: int) -> list[str]:
        """Take tasks and keep their leases; return their ids."""
        (result,) = await self._broker.work.dequeue(
            {"default": count}, owner=f"peer/{os.getpid()}", lease_s=300
        )
        if result.error is not None:
            raise result.error
        self._leases += result.leases
        return [lease.id for lease in result.leases]

    async def settle(self) -> list[str]:
        """Write that all tasks that were taken are done; return an answer for each."""
        answers = await self._broker.work.settle([(lease, DONE) for lease in self._leases])
        self._leases = [
            lease for lease, answer in zip(self._leases, answers, strict=True) if answer is not True
        ]
        return [_text(a) if isinstance(a, PyasynqError) else str(a) for a in answers]

    async def work(self) -> list[str]:
        """Do tasks until none is left; return their ids."""
        done: list[str] = []
        while some := await self.take(100):
            assert set(await self.settle()) == {"True"}
            done += some
        return done

    async def size(self) -> int:
        """Return the number of tasks in the queue."""
        return (await self._inspector.queue_info("default")).size

    async def close(self) -> None:
        """Close the file."""
        await self._client.aclose()
        await self._inspector.aclose()
        await self._broker.aclose()

    # -- faults

    async def limit_files(self, bytes_: int | None) -> None:
        """Let this process write no longer files (``ulimit -f``); None for no limit."""
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        soft = resource.RLIM_INFINITY if bytes_ is None else bytes_
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    async def become(self, uid: int) -> None:
        """Go on as another user, who may not read the modules that are not imported yet."""
        os.setgroups([])
        os.setegid(uid)
        os.seteuid(uid)

    async def lock(self) -> None:
        """Take the write lock, as a program that knows nothing of the library does."""
        self._foreign = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        self._foreign.execute("BEGIN IMMEDIATE")

    async def unlock(self) -> None:
        """Give the write lock back."""
        assert self._foreign is not None
        self._foreign.close()

    async def lock_half_of(self, seconds: float) -> int:
        """Have the write lock half of the time; return how often."""
        foreign = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        times = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            foreign.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(0.02)
            foreign.execute("COMMIT")
            await asyncio.sleep(0.02)
            times += 1
        foreign.close()
        return times

    async def fork(self) -> None:
        """Fork a child, which opens the file anew."""
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            ours.close()
            file = theirs.makefile("rw")
            asyncio.run(serve(Peer(self._url), file, file))
            os._exit(0)
        theirs.close()
        self._child = ours.makefile("rw")

    async def child(self, command: str, *arguments: object) -> object:
        """Let the child do a command."""
        assert self._child is not None
        self._child.write(f"{json.dumps([command, *arguments])}\n")
        self._child.flush()
        return json.loads(self._child.readline())


def _task(size: int) -> Task:
    """Return a task without arguments, in *size* bytes of JSON."""
    return Task("work", b"{}".ljust(size))


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


async def _answer(call: Awaitable[T]) -> T | str:
    try:
        return await call
    except PyasynqError as error:
        return _text(error)


async def serve(peer: Peer, calls: TextIO, answers: TextIO) -> None:
    """Answer calls until there are no more."""
    while line := await asyncio.to_thread(calls.readline):
        command, *arguments = json.loads(line)
        answer = await _answer(getattr(peer, command)(*arguments))
        answers.write(f"{json.dumps(answer)}\n")
        answers.flush()


if __name__ == "__main__":
    asyncio.run(serve(Peer(sys.argv[1]), sys.stdin, sys.stdout))
