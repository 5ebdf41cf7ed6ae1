"""Errors over REST: problem details, without anything that a caller must not see.

Source:
    RFC 9457.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from fastapi import Response
from fastapi.exceptions import RequestValidationError
from grpc import StatusCode
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from member.errors import (
    AlreadyExistsError,
    InvalidInputError,
    LimitedError,
    MemberError,
    UnauthenticatedError,
    Violation,
)
from member.statuses import status_of

MEDIA_TYPE = "application/problem+json"

# gRPC status codes for requests that the HTTP server itself refuses.
_CODES: Mapping[int, StatusCode] = {
    HTTPStatus.BAD_REQUEST: StatusCode.INVALID_ARGUMENT,
    HTTPStatus.NOT_FOUND: StatusCode.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: StatusCode.UNIMPLEMENTED,
    HTTPStatus.REQUEST_TIMEOUT: StatusCode.DEADLINE_EXCEEDED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.MISDIRECTED_REQUEST: StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNPROCESSABLE_ENTITY: StatusCode.INVALID_ARGUMENT,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.INTERNAL_SERVER_ERROR: StatusCode.INTERNAL,
    HTTPStatus.SERVICE_UNAVAILABLE: StatusCode.RESOURCE_EXHAUSTED,
}

# pydantic's own texts could quote the request, for example a password.
_DESCRIPTIONS: Mapping[str, str] = {
    "missing": "is required",
    "extra_forbidden": "is not known",
    "json_invalid": "must be JSON",
    "model_attributes_type": "must be a JSON object, of content type application/json",
    "string_type": "must be a text",
    "value_error": "must not contain half of a surrogate pair",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too big a number",
    "bool_parsing": "must be true or false",
}
_FIELD_CHARACTERS = 64


class FieldViolation(BaseModel):
    """One field and the rule that it breaks."""

    field: str = Field(examples=["password"])
    description: str = Field(examples=["must be 8 to 128 characters"])


class Problem(BaseModel):
    """The reason why a request was refused."""

    type: Literal["about:blank"] = "about:blank"
    title: str = Field(description="The HTTP status in words.", examples=["Conflict"])
    status: int = Field(description="The HTTP status.", examples=[409])
    detail: str = Field(
        description="What is wrong, in a sentence.",
        examples=["a member with this email already exists"],
    )
    code: str = Field(
        description="The status code that the RPC answers.", examples=["ALREADY_EXISTS"]
    )
    violations: list[FieldViolation] | None = Field(
        default=None, description="All invalid fields, if the request has some."
    )
    fields: list[str] | None = Field(
        default=None,
        description="The fields whose values another member has.",
        examples=[["email"]],
    )


def of_error(error: MemberError) -> Response:
    """Return the answer to a request that the service refuses."""
    status = status_of(error)
    return _response(
        status.http, status.grpc, str(error), headers=headers_of(error), **_members(error)
    )


def of_validation(error: RequestValidationError) -> Response:
    """Return the answer to a request with the wrong form."""
    return of_error(InvalidInputError(tuple(_violations(error.errors()))))


def of_http(error: HTTPException) -> Response:
    """Return the answer to a request that the HTTP server itself refuses."""
    status = HTTPStatus(error.status_code)
    code = _CODES.get(status, StatusCode.UNKNOWN)
    return _response(status, code, error.detail, headers=error.headers)


def of_accident() -> Response:
    """Return the answer after an unexpected error."""
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, StatusCode.INTERNAL, "internal error")


def headers_of(error: MemberError) -> Mapping[str, str]:
    """Return the response headers for *error*."""
    match error:
        case UnauthenticatedError():
            return {"WWW-Authenticate": "Bearer"}  # RFC 9110, 11.6.1
        case LimitedError():
            return {"Retry-After": str(error.retry_after_s)}
        case _:
            return {}


def _members(error: MemberError) -> dict[str, Any]:
    """Return the extra members of a problem, by the kind of *error*."""
    match error:
        case InvalidInputError():
            violations = [
                FieldViolation(field=v.field, description=v.description) for v in error.violations
            ]
            return {"violations": violations}
        case AlreadyExistsError():
            return {"fields": list(error.fields)}
        case _:
            return {}


def _violations(errors: Sequence[Any]) -> Iterable[Violation]:
    for error in errors:
        description = _DESCRIPTIONS.get(error["type"], "has the wrong form")
        yield Violation(_field(error["loc"]), description)


def _field(place: tuple[str | int, ...]) -> str:
    """Return the name of the field at *place*, in ASCII, because a caller may send any name."""
    part, *names = place
    name = ".".join(name for name in names if isinstance(name, str)) or str(part)
    return name.encode("ascii", "backslashreplace").decode()[:_FIELD_CHARACTERS]


def _response(
    status: HTTPStatus,
    code: StatusCode,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **members: Any,  # noqa: ANN401 - of several types
) -> Response:
    problem = Problem(title=status.phrase, status=status, detail=detail, code=code.name, **members)
    body = json.dumps(problem.model_dump(exclude_none=True))
    return Response(body, status, dict(headers or {}), media_type=MEDIA_TYPE)
