"""Call the Go program in ``peer/``, and workers of either language.

A worker process writes JSON lines: ``ready``, then ``start`` and ``done`` for every task, then
``stopped``.
"""

import base64
import signal
import subprocess
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from pyasynq.core.info import TaskInfo
from pyasynq.core.states import TaskState
from tests.interop.polling import PATIENCE, answer

T = TypeVar("T")

Flag: TypeAlias = str | int | bytes | timedelta | datetime | Sequence[str] | dict[str, str] | None
Event: TypeAlias = dict[str, Any]


class PeerError(Exception):
    """The Go program ended with exit code 1; the text is its message."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The Go program, used with one Redis."""

    program: Path
    redis: str

    async def enqueue(
        self,
        type: str,
        payload: bytes | None = None,
        *,
        headers: dict[str, str] | None = None,
        count: int = 1,
        **options: Flag,
    ) -> list[TaskInfo]:
        """Enqueue *count* equal tasks with asynq's client."""
        lines = await self.call(
            "enqueue", type=type, payload=payload, header=headers, count=count, **options
        )
        return [_read(line, TaskInfo) for line in lines]

    def work(self, **flags: Flag) -> AbstractAsyncContextManager["Worker"]:
        """Run asynq's server in a process of its own; see ``peer/work.go`` for the flags."""
        return running(self._command("work", flags))

    def schedule(self, **flags: Flag) -> AbstractAsyncContextManager["Worker"]:
        """Run asynq's scheduler with one entry; see ``peer/schedule.go`` for the flags."""
        return running(self._command("schedule", flags))

    async def inspect(self, verb: str, *words: str) -> list[Any]:
        """Call asynq's inspector; see ``peer/inspect.go`` for the verbs."""
        return [msgspec.json.decode(line) for line in await self.call("inspect", verb, *words)]

    async def task(self, queue: str, task_id: str) -> TaskInfo:
        """Return a task as Go reads it."""
        [line] = await self.call("inspect", "task", queue, task_id)
        return _read(line, TaskInfo)

    async def tasks(self, queue: str, state: str, group: str = "") -> list[TaskInfo]:
        """Return a queue's tasks in a state, in the order Go lists them."""
        lines = await self.call("inspect", "tasks", queue, state, group)
        return [_read(line, TaskInfo) for line in lines]

    async def task_in(self, state: TaskState, queue: str, task_id: str) -> TaskInfo:
        """Wait until a task is in *state*; return it as Go reads it."""

        async def ask() -> TaskInfo | None:
            task = await self.task(queue, task_id)
            return task if task.state is state else None

        return await answer(ask)

    async def queue_with(self, queue: str, **counts: int) -> Event:
        """Wait until Go shows a queue with these counts; return what it shows."""

        async def ask() -> Event | None:
            [shown] = await self.inspect("queue", queue)
            return shown if counts.items() <= shown.items() else None

        return await answer(ask)

    async def server_with(self, task_id: str) -> Event:
        """Wait until Go shows that the one server runs a task; return what it shows."""

        async def ask() -> Event | None:
            servers = await self.inspect("servers")
            running = [worker["task_id"] for s in servers for worker in s["active_workers"]]
            return servers[0] if task_id in running else None

        return await answer(ask)

    async def call(self, command: str, *words: str, **flags: Flag) -> list[bytes]:
        """Run one command and return its lines.

        Raises:
            PeerError: If the program fails.
        """
        with anyio.fail_after(PATIENCE):
            done = await anyio.run_process([*self._command(command, flags), *words], check=False)
        if done.returncode:
            raise PeerError(done.stderr.decode().strip())
        return done.stdout.splitlines()

    def _command(self, command: str, flags: dict[str, Flag]) -> list[str]:
        words = [word for name, value in flags.items() for word in _arguments(name, value)]
        return [str(self.program), command, f"--redis={self.redis}", *words]


@dataclass(slots=True)
class Worker:
    """A worker process and the lines it has written so far."""

    process: Process
    events: list[Event] = field(default_factory=list[Event])
    _news: anyio.Condition = field(default_factory=anyio.Condition)

    def seen(self, event: str, **fields: object) -> list[Event]:
        """Return the lines with this event and these values."""
        wanted = {"event": event, **fields}
        return [line for line in self.events if wanted.items() <= line.items()]

    async def wait_for(self, event: str, *, count: int = 1, **fields: object) -> list[Event]:
        """Wait for *count* lines with this event and these values; return them."""
        with anyio.fail_after(PATIENCE):
            async with self._news:
                while len(self.seen(event, **fields)) < count:
                    await self._news.wait()
        return self.seen(event, **fields)

    async def kill(self) -> None:
        """Kill the process, as a crash would."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        """Ask the process to end, and wait for its end."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(PATIENCE):
            await self.process.wait()

    async def read(self) -> None:
        """Read lines until the process closes its output."""
        assert self.process.stdout is not None
        stream = BufferedByteReceiveStream(self.process.stdout)
        while True:
            try:
                line = await stream.receive_until(b"\n", 1 << 20)
            except (anyio.EndOfStream, anyio.IncompleteRead):
                return
            async with self._news:
                self.events.append(_decode(line))
                self._news.notify_all()


@asynccontextmanager
async def running(command: Sequence[str]) -> AsyncGenerator[Worker, None]:
    """Run a worker process; it is ready when the block starts, and ended after the block."""
    async with (
        await anyio.open_process(command, stderr=None) as process,
        anyio.create_task_group() as tasks,
    ):
        worker = Worker(process)
        tasks.start_soon(worker.read)
        try:
            await worker.wait_for("ready")
            yield worker
            await worker.stop()
        finally:
            if process.returncode is None:
                process.kill()


def build(source: Path, program: Path) -> None:
    """Compile the Go program.

    Raises:
        subprocess.CalledProcessError: If it does not compile.
    """
    subprocess.run(
        ["go", "build", "-o", program, "."],
        cwd=source,
        check=True,
        capture_output=True,
        text=True,
    )


def _arguments(name: str, value: Flag) -> Iterator[str]:
    """Yield the arguments for one flag of the Go program; one for each value."""
    flag = f"--{name.replace('_', '-')}"
    match value:
        case None:
            return
        case bytes():
            yield f"{flag}={base64.b64encode(value).decode()}"
        case timedelta():
            yield f"{flag}={value / timedelta(microseconds=1):.0f}us"
        case datetime():
            yield f"{flag}={value.isoformat()}"
        case dict():
            yield from (f"{flag}={key}={text}" for key, text in value.items())
        case str() | int():
            yield f"{flag}={value}"
        case _:
            yield from (f"{flag}={text}" for text in value)


def _read(line: bytes, model: type[T]) -> T:
    """Decode a line to a read model; Go's durations are numbers of seconds."""
    return msgspec.json.decode(line, type=model, strict=False)


def _decode(line: bytes) -> Event:
    """Decode a line of a worker; its payload is base64."""
    event: Event = msgspec.json.decode(line)
    if event.get("payload") is not None:
        event["payload"] = base64.b64decode(event["payload"])
    return event
