"""``manage.py pyasynq_scheduler``: enqueue the project's periodic tasks."""

from pyasynq.integrations.django.cli_command import CliCommand


class Command(CliCommand):
    """``pyasynq scheduler`` for the app of the project."""

    help = "Enqueue the periodic tasks of the project; options are those of `pyasynq scheduler`."
    command = "scheduler"
