"""Schedulers: enqueue tasks at the ticks of cron texts."""

from pyasynq.scheduler.config import SchedulerOptions
from pyasynq.scheduler.entry import CatchUp, PeriodicTask, check
from pyasynq.scheduler.periodic import PeriodicTaskManager, Provider
from pyasynq.scheduler.scheduler import Scheduler

__all__ = [
    "CatchUp",
    "PeriodicTask",
    "PeriodicTaskManager",
    "Provider",
    "Scheduler",
    "SchedulerOptions",
    "check",
]
