"""Cursors: where a list goes on, as a text that clients send back."""

import base64

import msgspec

from pyasynq.core.states import TaskState
from pyasynq.dashboard.problems import Problem
from pyasynq.operations.finder import Position


def encode_cursor(position: msgspec.Struct | None) -> str | None:
    """Return the cursor of *position*; None if there is none."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_cursor(cursor: str) -> Position | None:
    """Return the position of *cursor*; None if it is empty.

    Raises:
        Problem: If it is no cursor.
    """
    if not cursor:
        return None
    try:
        data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position = msgspec.json.decode(data, type=Position)
        TaskState(position.state)
    except ValueError:  # also of base64 and msgspec
        raise not_a_cursor() from None
    if position.start < 0:
        raise not_a_cursor()
    return position


def not_a_cursor() -> Problem:
    """Return the problem that a cursor is not one of the list."""
    return Problem(400, "invalid", "this is no cursor of this list", field="cursor")
