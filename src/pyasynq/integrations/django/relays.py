"""Relays for the command line: ``pyasynq relay pyasynq.integrations.django.relays:default``.

Each database has one here, by its alias.
"""

from django.db import connections

from pyasynq.integrations.django.orm_outbox import outbox
from pyasynq.integrations.django.project import project_app


def __getattr__(alias: str) -> object:
    """Return the relay of the database *alias*."""
    app = project_app()  # sets Django up
    if alias not in connections:
        msg = f"there is no database {alias!r}"
        raise AttributeError(msg)
    from pyasynq.integrations.django.orm_relay import OrmRelay

    return OrmRelay(outbox, alias, app.new_client())
