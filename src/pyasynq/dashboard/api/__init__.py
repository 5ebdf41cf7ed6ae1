"""The routes of the JSON API, by what they are about."""

from typing import Final

from pyasynq.dashboard.api import history, jobs, overview, queues, system, tasks

ROUTES: Final = (
    *overview.ROUTES,
    *queues.ROUTES,
    *history.ROUTES,
    *tasks.ROUTES,
    *jobs.ROUTES,
    *system.ROUTES,
)
"""All routes."""
