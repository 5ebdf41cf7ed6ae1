"""Name the outcome of a run, for those who measure runs."""

from pyasynq.core.control import HandlerNotFoundError, RevokeTask, Snooze
from pyasynq.core.verdict import decisive_error, is_final
from pyasynq.server.context import ActiveTask
from pyasynq.server.run.handler_errors import as_exception, check_usable, is_cancellation


def outcome_of(task: ActiveTask, error: BaseException) -> str:
    """Return the outcome of a run of *task* that ended with *error*.

    Returns:
        ``failed``, ``archived`` (`SkipRetry`, or a payload that does not fit), ``revoked``,
        ``snoozed``, ``unknown`` (the type has no handler), or ``stopped`` (canceled, timed out, or
        interrupted by a shutdown).
    """
    if task.cancelled and is_cancellation(error):
        return "stopped"
    failure = check_usable(task.type, as_exception(error))
    if is_final(task.type, failure):
        return "archived"
    match decisive_error(task.type, failure):
        case RevokeTask():
            return "revoked"
        case Snooze():
            return "snoozed"
        case HandlerNotFoundError(type=task.type):
            return "unknown"
        case _:
            return "failed"
