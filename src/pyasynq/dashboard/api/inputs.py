"""Inputs that several routes have."""

from typing import Annotated, Final, TypeAlias

import msgspec

DEFAULT_LIMIT: Final = 30
MAX_LIMIT: Final = 100
MAX_SELECTED: Final = 1000
"""Tasks that one request may name."""

Limit: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT, description="Items of a page.")]
Cursor: TypeAlias = Annotated[
    str, msgspec.Meta(description="Where to go on: the cursor of the page before.")
]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(gt=0, description="A time, seconds.")]


class QueueInput(msgspec.Struct, frozen=True, kw_only=True):
    """A queue."""

    queue: str


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list."""

    cursor: Cursor = ""
    limit: Limit = DEFAULT_LIMIT


class Selected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task or a flow that was selected."""

    queue: str
    id: str
