"""Ids that lead through the log: from a call to the task that it queues, in whatever process."""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from uuid import uuid4

import structlog

HEADER = "x-request-id"
_NAME = "request_id"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id(given: str | None) -> str:
    """Return the id that a caller has *given*, or a new one if it is none."""
    return given if given and _SANE.fullmatch(given) else uuid4().hex


def bound(request_id: str, **values: str) -> AbstractContextManager[object]:
    """Put the id, and other *values*, on every line that is logged in the block."""
    return structlog.contextvars.bound_contextvars(**{_NAME: request_id}, **values)


def to_headers() -> dict[str, str]:
    """Return what a task carries, so that the worker's lines have the id of this call."""
    found = structlog.contextvars.get_contextvars().get(_NAME)
    return {_NAME: found} if found else {}


def from_headers(headers: Mapping[str, str]) -> str:
    """Return the id that came with a task, or a new one."""
    return request_id(headers.get(_NAME))
