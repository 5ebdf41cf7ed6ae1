"""The routes of the JSON API, by what they are about."""

from typing import Final

from pyasynq.dashboard.api import (
    flows,
    history,
    jobs,
    overview,
    queues,
    schedules,
    servers,
    system,
    tasks,
)

ROUTES: Final = (
    *overview.ROUTES,
    *queues.ROUTES,
    *history.ROUTES,
    *tasks.ROUTES,
    *jobs.ROUTES,
    *servers.ROUTES,
    *schedules.ROUTES,
    *flows.ROUTES,
    *system.ROUTES,
)
"""All routes."""
