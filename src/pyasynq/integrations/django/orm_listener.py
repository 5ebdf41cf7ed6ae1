"""Get notifications from PostgreSQL when another process has written tasks."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from django.db import connections

from pyasynq.outbox.rows import TABLE
from pyasynq.runtime.actor import FIRST_BACKOFF_S, Actor, OutageLog
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.outbox")

FOR_THREADS: Final = frozenset({"context", "cursor_factory"})
"""Parameters of Django's connections that an asynchronous one does not take."""


class OrmListener(Actor):
    """Calls a function at each notification of the outbox; has one connection of its own."""

    name = "listener"
    # Without notifications the relay polls, so no error of the driver or the server matters.
    failures: tuple[type[Exception], ...] = (Exception,)

    def __init__(self, using: str, wake: Callable[..., None], *, clock: Clock) -> None:
        """Call *wake* at each notification in the database *using*, which `can_listen`."""
        super().__init__(clock=clock, outages=OutageLog(report=self._report_outage))
        self._using = using
        self._wake = wake

    async def step(self) -> float:
        """Listen on one connection until it is lost."""
        given = connections[self._using].get_connection_params()
        parameters = {name: it for name, it in given.items() if name not in FOR_THREADS}
        driver: Any = import_module("psycopg")
        connection = await driver.AsyncConnection.connect(**parameters, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {TABLE}")
            self._wake()  # for notifications before this connection
            async for _ in connection.notifies():
                self._wake()
        return FIRST_BACKOFF_S

    def _report_outage(self, error: Exception | None) -> None:
        if error is not None:
            log.debug("cannot listen on %s: %s", TABLE, error)


def can_listen(using: str) -> bool:
    """Return whether the database *using* is PostgreSQL, with psycopg 3."""
    if connections[using].vendor != "postgresql":
        return False
    return bool(import_module("django.db.backends.postgresql.psycopg_any").is_psycopg3)


def notify(using: str) -> None:
    """Tell relays of other processes, after the commit of the current transaction."""
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [TABLE])
