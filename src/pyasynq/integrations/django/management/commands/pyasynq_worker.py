"""``manage.py pyasynq_worker``: run the project's tasks."""

from pyasynq.integrations.django.cli_command import CliCommand


class Command(CliCommand):
    """``pyasynq worker`` for the app of the project."""

    help = "Run the tasks of the project; options are those of `pyasynq worker`."
    command = "worker"
