"""Run one version of the library in a process of its own: ``python -m tests.upgrade.peer URL``.

Reads calls as lines of JSON, ``[command, arguments]``, and answers each with a line,
``{"answer": ...}`` or ``{"error": name of the class}``. Every version in the file ``versions`` runs
this program, so it uses only what all of them have.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from pyasynq import (
    ActiveTask,
    App,
    Client,
    Inspector,
    PyasynqError,
    Scheduler,
    Semaphore,
    Server,
    SyncClient,
    Task,
    TaskInfo,
)

DURATIONS = ("process_in", "retention", "shutdown_timeout", "timeout", "unique")
SECOND = timedelta(seconds=1)


class Background:
    """Enters and leaves a context in an asyncio task of its own."""

    def __init__(self, context: AbstractAsyncContextManager[object]) -> None:
        self._context = context
        self._entered = asyncio.Event()
        self._left = asyncio.Event()

    async def start(self) -> None:
        """Return once the context is entered."""
        self._job = asyncio.create_task(self._stay())
        await self._entered.wait()

    async def stop(self) -> None:
        """Return once the context is left."""
        self._left.set()
        await self._job

    async def _stay(self) -> None:
        async with self._context:
            self._entered.set()
            await self._left.wait()


class Peer:
    """The commands of a test: each public method is one."""

    def __init__(self, url: str) -> None:
        """Use the Redis at *url*."""
        self._url = url
        self._client = Client(url)
        self._inspector = Inspector(url)
        self._began: list[str] = []
        self._ended: list[str] = []
        self._texts: list[str] = []
        self._holding = asyncio.Event()
        self._failing = False
        self._background: list[Background] = []
        self._semaphores: dict[str, Semaphore] = {}
        self._app = App(url)
        self._typed = self._app.task("typed", retention=timedelta(hours=1))(self._handle_typed)

    # -- producers ---------------------------------------------------------------------------------

    async def enqueue(self, type: str, count: int = 1, **options: object) -> list[str]:
        """Enqueue tasks, and return their ids."""
        tasks = [Task(type, f"{number}".encode()) for number in range(count)]
        return [(await self._client.enqueue(task, **_timed(options))).id for task in tasks]

    async def enqueue_many(self, type: str, count: int, **options: object) -> list[str]:
        """Enqueue tasks in one call, and return their ids."""
        tasks = [Task(type, f"{number}".encode()) for number in range(count)]
        infos = await self._client.enqueue_many(tasks, **_timed(options))
        return [info.id for info in infos if isinstance(info, TaskInfo)]

    async def enqueue_sync(self, type: str, **options: object) -> str:
        """Enqueue a task without asyncio, and return its id."""

        def enqueue() -> str:
            with SyncClient(self._url) as client:
                return client.enqueue(Task(type), **_timed(options)).id

        return await asyncio.to_thread(enqueue)

    async def call(self, *arguments: Any, **options: object) -> str:  # noqa: ANN401 - of any type
        """Enqueue a call of the typed task, and return its id."""
        async with self._app:
            task = self._typed.options(**_timed(options))
            return (await task.enqueue(*arguments)).id

    async def result(self, task_id: str) -> str:
        """Wait for the result of a task."""
        info = await self._inspector.task_info("default", task_id)
        return (await self._client.result(info)).decode()

    # -- workers -----------------------------------------------------------------------------------

    async def work(
        self, *, holding: bool = False, failing: bool = False, **options: object
    ) -> None:
        """Start a worker; its handlers may wait until `release_handlers`, and may fail."""
        if not holding:
            self._holding.set()
        self._failing = failing
        server = Server(self._url, **_timed({"concurrency": 10, **options}))
        await self._start(server.running(self._handle))

    async def work_typed(self) -> None:
        """Start a worker that has only the typed task."""
        await self._start(self._app.server(concurrency=10).running())

    async def work_on_groups(self, *, holding: bool = False) -> None:
        """Start a worker that combines groups; its aggregator may wait until `release_handlers`."""
        if not holding:
            self._holding.set()
        server = Server(
            self._url, concurrency=10, group_aggregator=self._combine, group_grace_period=SECOND
        )
        await self._start(server.running(self._handle))

    async def end_followed(self, queue: str) -> None:
        """End a task of ``default``, which a task in *queue* follows, and do nothing more.

        Only today's version can.
        """
        import msgspec

        from pyasynq.core.compose import Pending
        from pyasynq.core.message import TaskMessage
        from pyasynq.core.verdict import DONE

        work = self._client.broker.work
        (taken,) = await work.dequeue({"default": 1}, owner="followed/1", lease_s=30)
        message = TaskMessage(id="follower", queue=queue, type="t", payload=b"follows")
        follower = Pending(message=message, lock=None)
        verdict = msgspec.structs.replace(DONE, then=(follower,))
        assert await work.settle([(taken.leases[0], verdict)]) == [True]

    async def release_handlers(self) -> None:
        """Let waiting handlers end."""
        self._holding.set()

    async def began(self) -> list[str]:
        """Return the ids of the started runs, in order."""
        return self._began

    async def open_flow(self, *, keeps_tasks: bool) -> None:
        """Enqueue a flow of two steps, whose tasks may be kept after success.

        Only today's version can.
        """
        from pyasynq import Flow

        kept: dict[str, Any] = {"retention": timedelta(hours=1)} if keeps_tasks else {}
        flow = Flow("import", id="flow")
        first = flow.add(Task("t", b"first", **kept))
        flow.add(Task("t", b"second", **kept), after=first)
        await self._client.enqueue_flow(flow)

    async def open_flow_in_a_flow(self) -> None:
        """Enqueue a flow whose first step is a flow of one step.

        Only today's version can.
        """
        from pyasynq import Flow

        inner = Flow("inner")
        inner.add(Task("t", b"inside"))
        flow = Flow("import", id="flow")
        flow.add(Task("t", b"after"), after=flow.add(inner))
        await self._client.enqueue_flow(flow)

    async def retry_flow(self) -> None:
        """Run again what has failed in the flow.

        Only today's version can.
        """
        await self._inspector.retry_flow("default", "flow")

    async def look_after_flow(self) -> list[str]:
        """Look after the flow, as a server does, and return the states of its steps.

        Only today's version can.
        """
        from pyasynq import Clock
        from pyasynq.runtime.actor import OutageLog
        from pyasynq.server.upkeep import flow_recoverer

        flow_recoverer.FLOW_IDLE_S = -1  # else it waits for half a minute
        recoverer = flow_recoverer.FlowRecoverer(
            self._client.broker, "default", clock=Clock(), outages=OutageLog("Redis")
        )
        await recoverer.step()
        flow = await self._inspector.flow("default", "flow")
        return [step.state for step in flow.steps]

    async def open_batch(self, count: int, *, keeps_tasks: bool) -> None:
        """Enqueue a batch, whose tasks may be kept after success, and a task that follows it.

        Only today's version can.
        """
        from pyasynq import Batch

        kept: dict[str, Any] = {"retention": timedelta(hours=1)} if keeps_tasks else {}
        tasks = [Task("t", b"member", **kept) for _ in range(count)]
        batch = Batch(tasks, then=Task("t", b"then"), failed=Task("t", b"failed"))
        self._batch_id = (await self._client.enqueue_batch(batch)).id

    async def look_after_batch(self) -> tuple[str, int, int, int]:
        """Look after the batch, as a server does, and return its state and counts.

        Only today's version can.
        """
        await self._client.broker.batches.repair("default", idle_s=0, swept_s=0)
        batch = await self._inspector.batch("default", self._batch_id)
        return batch.state, batch.total, batch.ended, batch.failed

    async def ended(self) -> list[str]:
        """Return the ids of the successful runs, in order."""
        return self._ended

    async def texts(self) -> list[str]:
        """Return the payloads of the successful runs, in order."""
        return self._texts

    # -- operators ---------------------------------------------------------------------------------

    async def ids(self, state: str, queue: str = "default") -> list[str]:
        """Return the ids of the tasks in *state*."""
        return [task.id for task in await self._inspector.list_tasks(queue, state, size=1000)]

    async def task(self, task_id: str) -> dict[str, Any]:
        """Return what the inspector sees of a task."""
        info = await self._inspector.task_info("default", task_id)
        return {
            "state": info.state.value,
            "retried": info.retried,
            "last_error": info.last_error,
            "result": None if info.result is None else info.result.decode(),
        }

    async def run_all(self, state: str, queue: str = "default") -> int:
        """Make the tasks in *state* pending."""
        return await self._inspector.run_all(queue, state)

    async def cancel(self, task_id: str) -> None:
        """Ask the server that runs the task to stop it."""
        await self._inspector.cancel(task_id)

    async def pause(self) -> None:
        """Pause the queue."""
        await self._inspector.pause("default")

    async def unpause(self) -> None:
        """Resume the queue."""
        await self._inspector.unpause("default")

    async def servers(self) -> list[list[Any]]:
        """Return the process of each server, and the tasks it runs."""
        return [
            [server.pid, sorted(worker.task_id for worker in server.active_workers)]
            for server in await self._inspector.servers()
        ]

    async def entries(self) -> list[list[str]]:
        """Return id and spec of each entry that a scheduler shows."""
        return [[entry.id, entry.spec] for entry in await self._inspector.scheduler_entries()]

    async def enqueued(self, entry_id: str) -> list[str]:
        """Return the ids of the tasks that an entry has enqueued, newest first."""
        events = await self._inspector.scheduler_events(entry_id, size=1000)
        return [event.task_id for event in events]

    # -- schedulers, outboxes, semaphores ----------------------------------------------------------

    async def schedule(self) -> str:
        """Start a scheduler with a tick each second, and return the id of its entry."""
        scheduler = Scheduler(self._url, catch_up="all")
        task = Task("tick", b"payload", headers={"b": "1", "a": "2"})
        options = _timed({"queue": "default", "max_retry": 3, "timeout": 60, "retention": 0})
        entry_id = scheduler.register("@every 1s", task, **options)
        await self._start(scheduler.running())
        return entry_id

    async def write(self, database: str, count: int, **options: object) -> list[str]:
        """Write tasks into the outbox, and return their ids."""
        from tests.upgrade import rows

        tasks = [Task("t", f"{number}".encode()) for number in range(count)]
        return await rows.write(database, tasks, _timed(options))

    async def relay(self, database: str) -> None:
        """Relay the current rows of the outbox."""
        from tests.upgrade import rows

        await rows.relay(database, self._client)

    async def acquire(self, scope: str, limit: int) -> bool:
        """Take a token if one is free; the first call sets the limit of the scope."""
        if scope not in self._semaphores:
            self._semaphores[scope] = Semaphore(self._url, scope, limit)
        return await self._semaphores[scope].try_acquire()

    async def release(self, scope: str) -> None:
        """Release a token."""
        await self._semaphores[scope].release()

    # -- the process -------------------------------------------------------------------------------

    async def file(self) -> str:
        """Return where the library was imported from."""
        return str(sys.modules["pyasynq"].__file__)

    async def stop(self) -> None:
        """Stop what was started; waiting handlers are cancelled after the shutdown timeout."""
        await asyncio.gather(*(job.stop() for job in self._background))
        self._background.clear()

    async def reset(self) -> None:
        """Restore the initial state."""
        self._holding.set()
        await self.stop()
        for semaphore in self._semaphores.values():
            await semaphore.aclose()
        await self._client.aclose()
        await self._inspector.aclose()
        self.__init__(self._url)

    async def run_command(
        self, command: str, arguments: list[Any], named: dict[str, Any]
    ) -> object:
        """Run the command of one line."""
        return await getattr(self, command)(*arguments, **named)

    async def _start(self, context: AbstractAsyncContextManager[object]) -> None:
        job = Background(context)
        self._background.append(job)
        await job.start()

    async def _handle(self, task: ActiveTask) -> None:
        self._began.append(task.id)
        await self._holding.wait()
        if self._failing:
            msg = "as the test wants it"
            raise ValueError(msg)
        if task.retention:
            await task.write_result(b"done")
        self._ended.append(task.id)
        self._texts.append(task.payload.decode())

    async def _handle_typed(
        self, number: int, words: list[str], more: dict[str, Any], at: str | None = None
    ) -> dict[str, Any]:
        call = {"number": number, "words": words, "more": more, "at": at}
        self._texts.append(json.dumps(call))
        return call

    async def _combine(self, group: str, tasks: list[Task]) -> Task:
        self._began.append(group)
        await self._holding.wait()
        return Task("combined", b"+".join(task.payload or b"" for task in tasks))


def _timed(options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - keywords of many a function
    """Return *options* with seconds converted to durations."""
    return {
        name: timedelta(seconds=value) if name in DURATIONS else value
        for name, value in options.items()
    }


async def main(url: str) -> None:
    """Run the commands on standard input."""
    peer = Peer(url)
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            answer = {"answer": await peer.run_command(*json.loads(line))}
        except PyasynqError as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    await peer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
