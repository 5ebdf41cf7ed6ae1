"""Errors as RFC 9457 describes them: a JSON document with a code that programs can read."""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response

from pyasynq.core import batch_errors, entry_errors, errors, flow_errors
from pyasynq.core.extension_errors import CodecError
from pyasynq.core.json_form import to_json_types
from pyasynq.operations.jobs import JobNotFoundError, TooManyJobsError

MEDIA_TYPE: Final = "application/problem+json"


class Problem(Exception):
    """A request that cannot be answered as asked.

    Attributes:
        status: Status of the response.
        code: What is wrong, for programs.
        detail: What is wrong, for people.
        more: Further members of the document.
        headers: Headers of the response.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        """Describe the problem."""
        self.status = status
        self.code = code
        self.detail = detail
        self.headers: dict[str, str] = dict(headers or {})
        self.more = more
        super().__init__(detail)

    def members(self) -> dict[str, object]:
        """Return the members of the document."""
        return {
            "type": f"about:blank#{self.code}",
            "title": self.code.replace("-", " ").capitalize(),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **{name: value for name, value in self.more.items() if value is not None},
        }

    def response(self) -> Response:
        """Return the response."""
        body = msgspec.json.encode(to_json_types(self.members()))
        return Response(body, self.status, headers=self.headers, media_type=MEDIA_TYPE)


_KINDS: Final[tuple[tuple[type[errors.PyasynqError], int, str], ...]] = (
    (errors.QueueNotFoundError, 404, "queue-not-found"),
    (errors.TaskNotFoundError, 404, "task-not-found"),
    (entry_errors.EntryNotFoundError, 404, "entry-not-found"),
    (flow_errors.FlowNotFoundError, 404, "flow-not-found"),
    (flow_errors.StepNotFoundError, 404, "step-not-found"),
    (batch_errors.BatchNotFoundError, 404, "batch-not-found"),
    (JobNotFoundError, 404, "not-found"),
    (TooManyJobsError, 429, "too-many"),
    (errors.QueueNotEmptyError, 409, "conflict"),
    (errors.QueuePausedError, 409, "conflict"),
    (errors.QueueNotPausedError, 409, "conflict"),
    (errors.TaskStateError, 409, "conflict"),
    (flow_errors.FlowStateError, 409, "conflict"),
    (batch_errors.BatchStateError, 409, "conflict"),
    (entry_errors.EntryPausedError, 409, "conflict"),
    (entry_errors.EntryNotPausedError, 409, "conflict"),
    (entry_errors.EntryNotPausableError, 409, "conflict"),
    (errors.DuplicateTaskError, 409, "conflict"),
    (errors.TaskIDConflictError, 409, "conflict"),
    (errors.PoisonError, 409, "unreadable"),
    (CodecError, 409, "unreadable"),
    (errors.OptionError, 400, "invalid"),
    (errors.NotSupportedError, 501, "not-supported"),
    (errors.BrokerUnavailableError, 503, "broker-unavailable"),
    (errors.BrokerError, 502, "broker-failed"),
)
"""Errors, with status and code; the first that fits counts."""


def problem_of(error: errors.PyasynqError) -> Problem:
    """Return the problem that *error* is."""
    for kind, status, code in _KINDS:
        if isinstance(error, kind):
            field = error.option if isinstance(error, errors.OptionError) else None
            headers = {"Retry-After": "5"} if code == "too-many" else None
            return Problem(status, code, str(error), headers=headers, field=field)
    return Problem(500, "internal", str(error))
