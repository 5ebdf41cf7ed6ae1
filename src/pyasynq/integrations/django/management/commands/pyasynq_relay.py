"""``manage.py pyasynq_relay``: move the tasks of the project's outbox to their queues."""

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS

from pyasynq.integrations.django import relays
from pyasynq.integrations.django.cli_command import CliCommand


class Command(CliCommand):
    """``pyasynq relay`` for the outbox of the project."""

    help = "Move the tasks of the outbox to their queues; options are those of `pyasynq relay`."
    command = "relay"

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the option that names a database."""
        parser.add_argument(
            "--database",
            default=DEFAULT_DB_ALIAS,
            help="Alias of the database that has the outbox; the default one when not given.",
        )

    def place(self, **options: object) -> str:
        """Return the relay of the database."""
        return f"{relays.__name__}:{options['database']}"
