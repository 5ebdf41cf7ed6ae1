"""The inspector for code without an event loop."""

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Self, Unpack

from pyasynq.broker import Progress
from pyasynq.core.batch import BatchInfo
from pyasynq.core.codec import Codec
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.info import (
    ClusterNode,
    DailyStats,
    GroupInfo,
    MailInfo,
    QueueInfo,
    SchedulerEntry,
    SchedulerEvent,
    ServerInfo,
    TaskInfo,
)
from pyasynq.core.options import EnqueueOptions
from pyasynq.core.run_stats import RunSpan, TypeStats
from pyasynq.core.states import TaskState
from pyasynq.core.wanted_state import ServerControl
from pyasynq.inspector.errors import ErrorGroup
from pyasynq.inspector.filters import Criteria, TaskChanges
from pyasynq.inspector.flows import Listed
from pyasynq.inspector.inspector import Inspector
from pyasynq.inspector.reader import PAGE_SIZE
from pyasynq.runtime.sync_calls import SyncCalls

HOUR: Final = timedelta(hours=1)


class SyncInspector:
    """The methods of `Inspector`, without ``await``, for scripts, Django and Flask.

    Each method takes, returns and raises what the method of `Inspector` does. The calls are made in
    a loop in a separate thread, which the first call starts; *progress* functions are called there.
    Threads and gevent's greenlets may share an inspector, and both sides of a fork may use it.
    """

    def __init__(self, broker: str, *, codecs: Sequence[Codec] = ()) -> None:
        """Use the *broker* URL; nothing is sent before the first call.

        Args:
            broker: A URL or a bare ``host:port``.
            codecs: Open payloads and results; what they cannot open is returned sealed.

        Raises:
            OptionError: If the URL or a codec cannot be used.
            ThreadError: Under eventlet, which has no real threads.
        """
        self._calls = SyncCalls(functools.partial(Inspector, broker, codecs=codecs))

    def close(self) -> None:
        """Close the connections and end the thread, after other threads' calls are answered.

        Closing twice does nothing.
        """
        self._calls.close()

    aclose = close

    def __enter__(self) -> Self:
        """Return the inspector."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close the inspector."""
        self.close()

    # -- queues ------------------------------------------------------------------------------------

    def queues(self) -> list[str]:
        """Return the names of all queues, sorted."""
        return self._calls.call(lambda it: it.queues())

    def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """Return the counts of *queue*; see `Inspector.queue_info`."""
        return self._calls.call(lambda it: it.queue_info(queue, memory=memory))

    def history(self, queue: str, days: int) -> list[DailyStats]:
        """Return the daily counts of *queue*; see `Inspector.history`."""
        return self._calls.call(lambda it: it.history(queue, days))

    def type_stats(self, queue: str | None = None, *, last: timedelta = HOUR) -> list[TypeStats]:
        """Return what ran lately, by type of task; see `Inspector.type_stats`."""
        return self._calls.call(lambda it: it.type_stats(queue, last=last))

    def run_history(self, queue: str | None = None, *, last: timedelta = HOUR) -> list[RunSpan]:
        """Return what ran lately, in steps of time; see `Inspector.run_history`."""
        return self._calls.call(lambda it: it.run_history(queue, last=last))

    def groups(self, queue: str) -> list[GroupInfo]:
        """Return the groups of *queue* with waiting tasks; see `Inspector.groups`."""
        return self._calls.call(lambda it: it.groups(queue))

    def queue_slot(self, queue: str) -> int:
        """Return the cluster slot of all keys of *queue*."""
        return self._calls.call(lambda it: it.queue_slot(queue))

    def queue_nodes(self, queue: str) -> list[ClusterNode]:
        """Return the cluster nodes of *queue*, its primary first; empty without a cluster."""
        return self._calls.call(lambda it: it.queue_nodes(queue))

    def pause(self, queue: str) -> None:
        """Stop workers from taking tasks of *queue*; see `Inspector.pause`."""
        self._calls.call(lambda it: it.pause(queue))

    def unpause(self, queue: str) -> None:
        """Let workers take tasks of *queue* again; see `Inspector.unpause`."""
        self._calls.call(lambda it: it.unpause(queue))

    def delete_queue(
        self, queue: str, *, force: bool = False, progress: Progress | None = None
    ) -> None:
        """Delete *queue*; its tasks only with *force*; see `Inspector.delete_queue`."""
        self._calls.call(lambda it: it.delete_queue(queue, force=force, progress=progress))

    # -- tasks -------------------------------------------------------------------------------------

    def task_info(self, queue: str, task_id: str) -> TaskInfo:
        """Return one task; see `Inspector.task_info`."""
        return self._calls.call(lambda it: it.task_info(queue, task_id))

    def list_tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        page: int = 1,
        size: int = PAGE_SIZE,
        group: str | None = None,
    ) -> list[TaskInfo]:
        """Return one page of the tasks in *state*; see `Inspector.list_tasks`."""
        return self._calls.call(
            lambda it: it.list_tasks(queue, state, page=page, size=size, group=group)
        )

    def find_tasks(
        self,
        queue: str,
        state: TaskState | str,
        *,
        group: str | None = None,
        limit: int = PAGE_SIZE,
        **criteria: Unpack[Criteria],
    ) -> list[TaskInfo]:
        """Return tasks in *state* that meet all *criteria*; see `Inspector.find_tasks`."""
        return self._calls.call(
            lambda it: it.find_tasks(queue, state, group=group, limit=limit, **criteria)
        )

    def errors(self, queue: str, state: TaskState | str | None = None) -> list[ErrorGroup]:
        """Count the failed tasks of *queue* by type and error; see `Inspector.errors`."""
        return self._calls.call(lambda it: it.errors(queue, state))

    def run_task(self, queue: str, task_id: str) -> None:
        """Make a waiting task pending; see `Inspector.run_task`."""
        self._calls.call(lambda it: it.run_task(queue, task_id))

    def archive_task(self, queue: str, task_id: str) -> None:
        """Archive a task; see `Inspector.archive_task`."""
        self._calls.call(lambda it: it.archive_task(queue, task_id))

    def delete_task(self, queue: str, task_id: str) -> None:
        """Delete a task that is not running; see `Inspector.delete_task`."""
        self._calls.call(lambda it: it.delete_task(queue, task_id))

    def update_task(self, queue: str, task_id: str, **changes: Unpack[TaskChanges]) -> TaskInfo:
        """Change a waiting task, and return it; see `Inspector.update_task`."""
        return self._calls.call(lambda it: it.update_task(queue, task_id, **changes))

    def update_task_payload(self, queue: str, task_id: str, payload: bytes) -> None:
        """Replace the payload of a scheduled task; see `Inspector.update_task_payload`."""
        self._calls.call(lambda it: it.update_task_payload(queue, task_id, payload))

    def reschedule(self, queue: str, task_id: str, at: datetime) -> None:
        """Make a scheduled or retry task due at *at*; see `Inspector.reschedule`."""
        self._calls.call(lambda it: it.reschedule(queue, task_id, at))

    def cancel(self, task_id: str) -> None:
        """Ask all servers to stop the task with this id; see `Inspector.cancel`."""
        self._calls.call(lambda it: it.cancel(task_id))

    # -- all tasks in a state ----------------------------------------------------------------------

    def run_all(
        self,
        queue: str,
        state: TaskState | str,
        group: str | None = None,
        *,
        progress: Progress | None = None,
        **criteria: Unpack[Criteria],
    ) -> int:
        """Make the tasks in *state* pending that meet *criteria*; see `Inspector.run_all`."""
        return self._calls.call(
            lambda it: it.run_all(queue, state, group, progress=progress, **criteria)
        )

    def archive_all(
        self,
        queue: str,
        state: TaskState | str,
        group: str | None = None,
        *,
        progress: Progress | None = None,
        **criteria: Unpack[Criteria],
    ) -> int:
        """Archive the tasks in *state* that meet *criteria*; see `Inspector.archive_all`."""
        return self._calls.call(
            lambda it: it.archive_all(queue, state, group, progress=progress, **criteria)
        )

    def delete_all(
        self,
        queue: str,
        state: TaskState | str,
        group: str | None = None,
        *,
        progress: Progress | None = None,
        **criteria: Unpack[Criteria],
    ) -> int:
        """Delete the tasks in *state* that meet *criteria*; see `Inspector.delete_all`."""
        return self._calls.call(
            lambda it: it.delete_all(queue, state, group, progress=progress, **criteria)
        )

    # -- servers and schedulers --------------------------------------------------------------------

    def servers(self) -> list[ServerInfo]:
        """Return the servers that have reported lately; see `Inspector.servers`."""
        return self._calls.call(lambda it: it.servers())

    def redis_info(self) -> dict[str, str]:
        """Return the answer of Redis to ``INFO``; see `Inspector.redis_info`."""
        return self._calls.call(lambda it: it.redis_info())

    def broker_info(self) -> dict[str, str]:
        """Return what the broker says about itself; see `Inspector.broker_info`."""
        return self._calls.call(lambda it: it.broker_info())

    def scheduler_entries(self) -> list[SchedulerEntry]:
        """Return the periodic tasks of all live schedulers."""
        return self._calls.call(lambda it: it.scheduler_entries())

    def scheduler_events(
        self, entry_id: str, *, page: int = 1, size: int = PAGE_SIZE
    ) -> list[SchedulerEvent]:
        """Return one page of what an entry enqueued; see `Inspector.scheduler_events`."""
        return self._calls.call(lambda it: it.scheduler_events(entry_id, page=page, size=size))

    def pause_entry(self, entry_id: str) -> None:
        """Stop schedulers from enqueueing an entry; see `Inspector.pause_entry`."""
        self._calls.call(lambda it: it.pause_entry(entry_id))

    def resume_entry(self, entry_id: str) -> None:
        """Let schedulers enqueue an entry again; see `Inspector.resume_entry`."""
        self._calls.call(lambda it: it.resume_entry(entry_id))

    def run_entry(self, entry_id: str, **options: Unpack[EnqueueOptions]) -> TaskInfo:
        """Enqueue the task of an entry now; see `Inspector.run_entry`."""
        return self._calls.call(lambda it: it.run_entry(entry_id, **options))

    def control(
        self,
        target: str,
        *,
        quiet: bool | None = None,
        stop: bool = False,
        concurrency: int | None = None,
        queues: Mapping[str, int] | None = None,
        reset: bool = False,
    ) -> list[ServerInfo]:
        """Want something else of running servers; see `Inspector.control`."""
        return self._calls.call(
            lambda it: it.control(
                target,
                quiet=quiet,
                stop=stop,
                concurrency=concurrency,
                queues=queues,
                reset=reset,
            )
        )

    def controls(self) -> list[ServerControl]:
        """Return what is wanted of servers; see `Inspector.controls`."""
        return self._calls.call(lambda it: it.controls())

    def mail(self, queue: str, *, page: int = 1, size: int = PAGE_SIZE) -> list[MailInfo]:
        """Return one page of the mail of *queue*; see `Inspector.mail`."""
        return self._calls.call(lambda it: it.mail(queue, page=page, size=size))

    def batches(self, queue: str, *, page: int = 1, size: int = PAGE_SIZE) -> list[BatchInfo]:
        """Return one page of the batches of *queue*; see `Inspector.batches`."""
        return self._calls.call(lambda it: it.batches(queue, page=page, size=size))

    def batch(self, queue: str, batch_id: str) -> BatchInfo:
        """Return one batch; see `Inspector.batch`."""
        return self._calls.call(lambda it: it.batch(queue, batch_id))

    def failed_members(self, queue: str, batch_id: str) -> list[str]:
        """Return the ids of failed members; see `Inspector.failed_members`."""
        return self._calls.call(lambda it: it.failed_members(queue, batch_id))

    def cancel_batch(self, queue: str, batch_id: str) -> BatchInfo:
        """Run no more members of a batch; see `Inspector.cancel_batch`."""
        return self._calls.call(lambda it: it.cancel_batch(queue, batch_id))

    def retry_batch(self, queue: str, batch_id: str) -> BatchInfo:
        """Run the failed members of a batch again; see `Inspector.retry_batch`."""
        return self._calls.call(lambda it: it.retry_batch(queue, batch_id))

    # -- flows -------------------------------------------------------------------------------------

    def flows(
        self, queue: str, state: Listed = "running", *, page: int = 1, size: int = PAGE_SIZE
    ) -> Sequence[FlowInfo]:
        """Return one page of the flows of *queue*; see `Inspector.flows`."""
        return self._calls.call(lambda it: it.flows(queue, state, page=page, size=size))

    def flow(self, queue: str, flow_id: str) -> FlowInfo:
        """Return a flow with its steps; see `Inspector.flow`."""
        return self._calls.call(lambda it: it.flow(queue, flow_id))

    def cancel_flow(self, queue: str, flow_id: str) -> FlowInfo:
        """Start nothing more of a flow; see `Inspector.cancel_flow`."""
        return self._calls.call(lambda it: it.cancel_flow(queue, flow_id))

    def retry_flow(self, queue: str, flow_id: str) -> FlowInfo:
        """Run again what has failed in a flow; see `Inspector.retry_flow`."""
        return self._calls.call(lambda it: it.retry_flow(queue, flow_id))

    def skip_step(self, queue: str, flow_id: str, step: str) -> FlowInfo:
        """Let a flow go on as if *step* had succeeded; see `Inspector.skip_step`."""
        return self._calls.call(lambda it: it.skip_step(queue, flow_id, step))

    def signal(self, queue: str, flow_id: str, gate: str, value: object = None) -> None:
        """Let a flow go on at *gate*; see `Client.signal`."""
        self._calls.call(lambda it: it.signal(queue, flow_id, gate, value))
