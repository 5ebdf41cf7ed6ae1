"""Python's side: pyasynq's client, inspector, servers and their actors."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import anyio
import msgspec
from redis.asyncio import Redis

from pyasynq import Client, Inspector, Task, TaskInfo
from pyasynq.broker import Broker, open_broker
from pyasynq.core.errors import (
    DuplicateTaskError,
    OptionError,
    PyasynqError,
    QueueActiveError,
    QueueNotEmptyError,
    QueueNotFoundError,
    QueueNotPausedError,
    QueuePausedError,
    TaskIDConflictError,
    TaskNotFoundError,
    TaskStateError,
)
from pyasynq.runtime.actor import OutageLog, cancel_and_wait
from pyasynq.runtime.clock import Clock
from pyasynq.server.config import Config
from pyasynq.server.groups.aggregator import Aggregator
from pyasynq.server.upkeep.forwarder import Forwarder
from pyasynq.server.upkeep.janitor import Janitor
from pyasynq.server.upkeep.recoverer import Recoverer
from tests.differential import operations as ops
from tests.differential.operations import Choices, Operation
from tests.differential.scripted_server import PATIENCE, ScriptedServer
from tests.differential.sides import Answer, Combined, Report

CLASSES: Final[Mapping[type[Exception], str]] = {
    DuplicateTaskError: "duplicate",
    TaskIDConflictError: "conflict",
    OptionError: "refused",
    QueueNotFoundError: "queue not found",
    QueueNotEmptyError: "queue not empty",
    QueueActiveError: "active",
    QueuePausedError: "paused",
    QueueNotPausedError: "not paused",
    TaskNotFoundError: "task not found",
    TaskStateError: "state",
}


class PythonSide:
    """pyasynq on one Redis."""

    def __init__(self, url: str) -> None:
        """Use the Redis at *url*."""
        self._url = url
        self._driver = Redis.from_url(url)
        self._broker: Broker = open_broker(self._driver)
        self._client = Client(self._driver)
        self.inspector = Inspector(self._driver)
        self._held: ScriptedServer | None = None

    async def apply(self, operation: Operation) -> Answer:
        """Apply *operation*; return its answer."""
        try:
            return Answer(value=await _METHODS[type(operation)](self, operation))
        except PyasynqError as error:
            return refusal(error)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._driver.aclose()

    # -- of a client -------------------------------------------------------------------------------

    async def open(self, _: ops.Open) -> None:
        self._client = Client(self._driver)
        self._broker = open_broker(self._driver)
        self.inspector = Inspector(self._driver)

    async def enqueue(self, operation: ops.Enqueue) -> TaskInfo:
        return await self._client.enqueue(_task(operation), **_options(operation.options))

    async def enqueue_many(self, operation: ops.EnqueueMany) -> list[Answer]:
        outcomes: list[Any] = []
        tasks: list[Task] = []
        for task in operation.tasks:
            try:
                tasks.append(_task(task))
                outcomes.append(None)
            except OptionError as error:
                outcomes.append(error)
        answers = iter(await self._client.enqueue_many(tasks))
        return [_outcome(next(answers) if o is None else o) for o in outcomes]

    # -- of a worker -------------------------------------------------------------------------------

    async def work(self, operation: ops.Work) -> Report:
        server = ScriptedServer(operation, operation.outcomes)
        server.released.set()
        await server.start(self._driver)
        await server.shut_down()
        return server.report()

    async def begin(self, operation: ops.Begin) -> Report:
        self._held = ScriptedServer(operation, {})
        await self._held.start(self._driver)
        return self._held.report()

    async def end(self, operation: ops.End) -> Report:
        server = self._held
        assert server is not None
        self._held = None
        server.outcomes = operation.outcomes
        if operation.abort:
            await server.shut_down(force=True)
        else:
            server.released.set()
            await server.shut_down()
        return server.report()

    async def crash(self, operation: ops.Crash) -> None:
        """Take tasks without running them, as a server that crashes."""
        counts = {operation.queue: operation.count}
        for taken in await self._broker.work.dequeue(counts, owner="crashed/1", lease_s=30):
            if taken.error is not None:
                raise taken.error

    async def maintain(self, operation: ops.Maintain) -> None:
        if operation.what == "reclaim":
            await self._broker.groups.reclaim(operation.queue)
            return
        queue, clock, outages = operation.queue, Clock(), OutageLog()
        upkeep = self._broker.upkeep
        match operation.what:
            case "forward":
                actor = Forwarder(upkeep, queue, clock=clock, outages=outages)
            case "expire":
                actor = Janitor(upkeep, queue, batch=100, clock=clock, outages=outages)
            case _:
                actor = Recoverer(
                    upkeep,
                    self._broker.work,
                    queue,
                    config=Config(clock=clock),
                    outages=outages,
                    on_written=lambda _lease, _verdict: None,
                )
        await actor.step()

    async def aggregate(self, operation: ops.Aggregate) -> list[Combined]:
        calls: list[Combined] = []

        def combine(group: str, tasks: Sequence[Task]) -> Task:
            payloads = [(task.payload or b"").decode() for task in tasks]
            calls.append(Combined(group=group, payloads=payloads))
            return _task(operation.task)

        config = Config(group_aggregator=combine, group_grace_period=timedelta(seconds=1))
        aggregator = Aggregator(
            self._broker, operation.queue, combine, config=config, outages=OutageLog()
        )
        job = asyncio.create_task(aggregator.run())
        with anyio.fail_after(PATIENCE):
            await aggregator.groups_done.next()
            await aggregator.wait_until_finished()
        await cancel_and_wait([job])
        aggregator.close()
        return calls

    # -- of an inspector ---------------------------------------------------------------------------

    async def list_tasks(self, o: ops.ListTasks) -> list[TaskInfo]:
        return await self.inspector.list_tasks(
            o.queue, o.state, page=o.page, size=o.size, group=o.group or None
        )


def refusal(error: PyasynqError) -> Answer:
    """Return *error* as an answer."""
    return Answer(error=CLASSES.get(type(error), "other"), text=str(error))


def _outcome(outcome: TaskInfo | PyasynqError) -> Answer:
    return refusal(outcome) if isinstance(outcome, PyasynqError) else Answer(value=outcome)


def _task(operation: ops.Enqueue) -> Task:
    own = _options(operation.own)
    return Task(operation.type, operation.payload, headers=operation.headers, **own)


DURATIONS: Final = ("timeout", "unique", "process_in", "retention")
INSTANTS: Final = ("deadline", "process_at")


def _options(choices: Choices) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(choices).items():
        if name in DURATIONS and value is not None:
            options[name] = timedelta(seconds=value)
        elif name in INSTANTS and value is not None:
            options[name] = datetime.fromtimestamp(value, UTC)
        elif value is not None:
            options[name] = value
    return options


_METHODS: Final = cast(
    "dict[type[Operation], Callable[[PythonSide, Any], Awaitable[Any]]]",
    {
        ops.Open: PythonSide.open,
        ops.Enqueue: PythonSide.enqueue,
        ops.EnqueueMany: PythonSide.enqueue_many,
        ops.Work: PythonSide.work,
        ops.Begin: PythonSide.begin,
        ops.End: PythonSide.end,
        ops.Crash: PythonSide.crash,
        ops.Maintain: PythonSide.maintain,
        ops.Aggregate: PythonSide.aggregate,
        ops.ListTasks: PythonSide.list_tasks,
        ops.Queues: lambda side, _: side.inspector.queues(),
        ops.QueueInfo: lambda side, o: side.inspector.queue_info(o.queue),
        ops.History: lambda side, o: side.inspector.history(o.queue, o.days),
        ops.Groups: lambda side, o: side.inspector.groups(o.queue),
        ops.Pause: lambda side, o: side.inspector.pause(o.queue),
        ops.Unpause: lambda side, o: side.inspector.unpause(o.queue),
        ops.DeleteQueue: lambda side, o: side.inspector.delete_queue(o.queue, force=o.force),
        ops.TaskInfo: lambda side, o: side.inspector.task_info(o.queue, o.id),
        ops.RunTask: lambda side, o: side.inspector.run_task(o.queue, o.id),
        ops.ArchiveTask: lambda side, o: side.inspector.archive_task(o.queue, o.id),
        ops.DeleteTask: lambda side, o: side.inspector.delete_task(o.queue, o.id),
        ops.UpdatePayload: lambda side, o: side.inspector.update_task_payload(
            o.queue, o.id, o.payload
        ),
        ops.RunAll: lambda side, o: side.inspector.run_all(o.queue, o.state, o.group or None),
        ops.ArchiveAll: lambda side, o: side.inspector.archive_all(
            o.queue, o.state, o.group or None
        ),
        ops.DeleteAll: lambda side, o: side.inspector.delete_all(o.queue, o.state, o.group or None),
        ops.Cancel: lambda side, o: side.inspector.cancel(o.id),
        ops.Servers: lambda side, _: side.inspector.servers(),
    },
)
