"""What outboxes do with a task before they write it into a database."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypedDict

from pyasynq.client.client import MAX_PAYLOAD
from pyasynq.client.middleware import (
    CallNext,
    ClientMiddleware,
    MiddlewareChain,
    run_without_waiting,
)
from pyasynq.core.codec import Codec, Codecs
from pyasynq.core.compose import Composer
from pyasynq.core.info import TaskInfo
from pyasynq.core.options import Options, check_all, check_count, check_known, merge
from pyasynq.core.policy import LARGEST_PAYLOAD
from pyasynq.core.task import Task, check_task
from pyasynq.runtime.clock import Clock

WAITS: Final = "with an AsyncSession it may wait, in `await outbox.enqueue(session, task)`"


class OutboxOptions(TypedDict, total=False):
    """Keywords of an `Outbox`.

    Keys:
        max_payload: Largest accepted payload, sealed and with headers, bytes; 1 MiB if not given.
        middleware: Called around each written task; see `Client`. A relay calls none.
        codecs: Seal payloads, in this order; the table holds sealed payloads.
        clock: Tells the time; a test may pass its own.
    """

    max_payload: int
    middleware: Sequence[ClientMiddleware]
    codecs: Sequence[Codec]
    clock: Clock | None


class TaskWriter:
    """The options of an outbox at work: middleware, codecs and the largest payload.

    Attributes:
        clock: Tells the time.
        composer: Makes the plans of tasks.
    """

    def __init__(self, options: OutboxOptions) -> None:
        """Use *options*.

        Raises:
            OptionError: If an option or a codec cannot be used.
            TypeError: If an option is unknown, or a middleware cannot be called as one.
        """
        check_known(options, OutboxOptions.__annotations__)
        self._middleware = MiddlewareChain.of(options.get("middleware", ()))
        most = check_count("max_payload", options.get("max_payload", MAX_PAYLOAD), LARGEST_PAYLOAD)
        self.composer: Composer = Composer(Codecs(options.get("codecs", ())), max_payload=most)
        self.clock: Clock = options.get("clock") or Clock()

    async def pass_on(self, task: Task, options: Mapping[str, object], end: CallNext) -> str:
        """Pass *task* through the middleware to *end*, which writes it; return its id.

        Raises:
            OptionError: If an option is not allowed, or *task* is not a Task.
            Exception: Any error of a middleware or of *end*.
        """
        check_task(task)
        merged = merge(task.options, check_all(options))
        return (await self._middleware.enqueue(task, merged, end)).id

    def pass_on_at_once(
        self, task: Task, options: Mapping[str, object], end: Callable[[Task, Options], TaskInfo]
    ) -> str:
        """Do the same where nothing can wait.

        Raises:
            MiddlewareError: If a middleware waits.
        """

        async def end_at_once(task: Task, options: Options) -> TaskInfo:
            return end(task, options)

        return run_without_waiting(self.pass_on(task, options, end_at_once), WAITS)
