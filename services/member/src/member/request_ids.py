"""Ids that join the log lines of a call and of the task that it queues, in whatever process."""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from uuid import uuid4

import structlog

HEADER = "x-request-id"
_NAME = "request_id"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id(given: str | None) -> str:
    """Return the id that a caller has *given* if it is valid, else a new one."""
    return given if given and _SANE.fullmatch(given) else uuid4().hex


def bind(request_id: str, **values: str) -> AbstractContextManager[object]:
    """Add the id, and other *values*, to every line that the block logs."""
    return structlog.contextvars.bound_contextvars(**{_NAME: request_id}, **values)


def to_headers() -> dict[str, str]:
    """Return headers for a task, so that the worker's log lines have the id of this call."""
    found = structlog.contextvars.get_contextvars().get(_NAME)
    return {_NAME: found} if found else {}


def from_headers(headers: Mapping[str, str]) -> str:
    """Return the id in the *headers* of a task, or a new one."""
    return request_id(headers.get(_NAME))
