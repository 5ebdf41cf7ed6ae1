"""Take reports of tasks that have ended to the records that they are part of."""

from collections.abc import Sequence

from pyasynq.broker.redis import keys
from pyasynq.broker.redis.connection import CommandArg
from pyasynq.broker.redis.lua import reports as scripts
from pyasynq.broker.redis.new_tasks import container_values
from pyasynq.broker.redis.scripts import Call, Each
from pyasynq.core.states import TaskState


def receiver_values(queue: str) -> dict[str, CommandArg]:
    """Return the keys and arguments by which scripts carry out entries in *queue*."""
    return flow_values(queue) | batch_values(queue)


def flow_values(queue: str) -> dict[str, CommandArg]:
    """Return the keys and arguments by which scripts take flows of *queue* on."""
    return _placement_values(queue) | {
        "flows": keys.flows(queue),
        "flows_ended": keys.ended_flows(queue),
        "flow_timers": keys.flow_timers(queue),
        "flow_locks": keys.flow_locks(queue),
        "flow_prefix": keys.flow(queue),
    }


def batch_values(queue: str) -> dict[str, CommandArg]:
    """Return the keys and arguments by which scripts count the members of batches of *queue*."""
    return _placement_values(queue) | {
        "batches": keys.batches(queue),
        "batch_prefix": keys.batch(queue),
        "ended_prefix": keys.ended_members(queue),
        "failed_prefix": keys.failed_members(queue),
        "outputs_prefix": keys.member_outputs(queue),
        "staged_prefix": keys.staged_tasks(queue),
        "archive": keys.container(queue, TaskState.ARCHIVED),
    }


def _placement_values(queue: str) -> dict[str, CommandArg]:
    mail = {"mail": keys.mail(queue), "mail_bodies": keys.mail_bodies(queue)}
    return container_values(queue) | mail


def receive_call(queue: str, bodies: Sequence[tuple[Each, ...]]) -> Call:
    """Return the call that takes reports to the records of *queue*; see `report_values`."""
    return scripts.receive_reports(bodies, task_prefix=keys.task(queue), **receiver_values(queue))
