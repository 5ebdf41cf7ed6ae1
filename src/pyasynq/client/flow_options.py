"""Options of flows."""

from datetime import timedelta
from typing import Final, TypedDict

from pyasynq.core.options import check_time, whole_seconds

KEEP: Final = timedelta(days=1)
KEEP_FAILED: Final = timedelta(days=7)
"""How long a flow is kept after its end, and after an end other than a success."""


class FlowOptions(TypedDict, total=False):
    """Keywords of a flow.

    Keys:
        queue: Its home: the queue with which it is stored; ``default`` if not given. Workers must
            serve it. A flow whose steps are all of this queue is the cheapest.
        id: Its id; a new one if not given. A flow with the id of one that is stored already is not
            stored again.
        unique_for: For this time, but no longer than it runs, no other flow with the same name and
            home is enqueued, if that has this option, too; None for no such bound.
        timeout: When it is cancelled, counted from the enqueueing; None for never.
        keep: How long it and its results are kept after it has succeeded; a day if not given.
        keep_failed: The same after another end, in which time it can be retried; 7 days if not
            given.
    """

    queue: str
    id: str
    unique_for: timedelta | None
    timeout: timedelta | None
    keep: timedelta
    keep_failed: timedelta


def seconds_of(name: str, duration: timedelta) -> int:
    """Return *duration*, the option *name*, in whole seconds, at least one.

    Raises:
        OptionError: If it is no timedelta, negative, or too long.
    """
    return max(1, whole_seconds(check_time(name, duration, timedelta(0))))
