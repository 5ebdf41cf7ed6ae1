"""The outcomes of tasks that were enqueued in one call."""

from collections.abc import Sequence

from pyasynq import PyasynqError, TaskInfo


def ids(outcomes: Sequence[TaskInfo | PyasynqError]) -> list[str]:
    """Return the ids of the accepted tasks, in order."""
    return [outcome.id for outcome in outcomes if isinstance(outcome, TaskInfo)]
