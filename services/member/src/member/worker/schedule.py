"""The periodic tasks."""

from typing import Unpack

import pyasynq
from member.worker.tasks import PURGE_EXPIRED_AT, QUEUE_DEFAULT, TASK_PURGE_EXPIRED
from pyasynq.scheduler import SchedulerOptions


def periodic_tasks(redis_address: str, **options: Unpack[SchedulerOptions]) -> pyasynq.Scheduler:
    """Return the scheduler of the periodic tasks.

    Every worker may run one; the task of each tick is enqueued only once.

    Args:
        redis_address: ``host:port`` or a URL.
        **options: See `SchedulerOptions`.
    """
    scheduler = pyasynq.Scheduler(redis_address, **options)
    scheduler.register(PURGE_EXPIRED_AT, pyasynq.Task(TASK_PURGE_EXPIRED), queue=QUEUE_DEFAULT)
    return scheduler
