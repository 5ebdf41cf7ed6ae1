"""What became of many tasks that were enqueued at once."""

from collections.abc import Sequence

from pyasynq import PyasynqError, TaskInfo


def ids(outcomes: Sequence[TaskInfo | PyasynqError]) -> list[str]:
    """Return the ids of the tasks that were accepted, in order."""
    return [outcome.id for outcome in outcomes if isinstance(outcome, TaskInfo)]
