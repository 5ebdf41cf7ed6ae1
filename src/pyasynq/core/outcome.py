"""How a task has ended, for those who follow up on it."""

from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args

import msgspec

Ending: TypeAlias = Literal["succeeded", "archived", "expired", "revoked"]
"""A final outcome: no worker runs the task again by itself."""

Event: TypeAlias = Literal["succeeded", "archived", "expired", "revoked", "retried", "recovered"]
"""A final outcome, or one after which the task runs again."""

ENDINGS: Final[tuple[Ending, ...]] = get_args(Ending)
EVENTS: Final[tuple[Event, ...]] = get_args(Event)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one run of a task ended, and the task with it, if it runs no more.

    Attributes:
        id: Id of the task.
        queue: Its queue.
        type: Its type.
        payload: Its payload; None if it is sealed and the worker could not open it.
        outcome: ``succeeded``; ``archived`` (its last try failed, or a try failed for good);
            ``expired`` (archived, because its deadline had passed before it began); ``revoked`` (by
            `RevokeTask`). Two more are not final: ``retried`` (it failed and runs again) and
            ``recovered`` (its worker died and it runs again).
        error: The error that operators read; None after a success.
        retried: Retries spent.
        max_retry: Retries allowed.
        taken_at: When the worker took it; None if that worker is gone.
        ended_at: When its run ended, by the clock of the worker that says so.
    """

    id: str
    queue: str
    type: str
    payload: bytes | None
    outcome: Event
    error: str | None = None
    retried: int = 0
    max_retry: int = 0
    taken_at: datetime | None = None
    ended_at: datetime

    def __repr__(self) -> str:
        """Name the task and the outcome; payloads may hold secrets."""
        return f"<Outcome {self.outcome} of {self.type!r} {self.id} in {self.queue!r}>"
