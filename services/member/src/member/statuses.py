"""The one error table: the status codes of each error of the service."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from grpc import StatusCode

from member.errors import (
    AlreadyExistsError,
    DistributeError,
    InvalidInputError,
    LimitedError,
    LinkExpiredError,
    LinkLockedError,
    LinkReplacedError,
    LinkUnknownError,
    LinkUsedError,
    MailError,
    MemberError,
    MemberUnknownError,
    PermissionDeniedError,
    SessionUnknownError,
    StoreUnavailableError,
    UnauthenticatedError,
)


@dataclass(frozen=True, slots=True)
class Status:
    """The codes of one error, over gRPC and over HTTP."""

    grpc: StatusCode
    http: HTTPStatus

    @property
    def is_ours(self) -> bool:
        """Tell whether the fault is the service's, not the caller's."""
        return self.http >= HTTPStatus.INTERNAL_SERVER_ERROR


STATUSES: Mapping[type[MemberError], Status] = {
    InvalidInputError: Status(StatusCode.INVALID_ARGUMENT, HTTPStatus.UNPROCESSABLE_ENTITY),
    AlreadyExistsError: Status(StatusCode.ALREADY_EXISTS, HTTPStatus.CONFLICT),
    UnauthenticatedError: Status(StatusCode.UNAUTHENTICATED, HTTPStatus.UNAUTHORIZED),
    PermissionDeniedError: Status(StatusCode.PERMISSION_DENIED, HTTPStatus.FORBIDDEN),
    MemberUnknownError: Status(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    SessionUnknownError: Status(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    LimitedError: Status(StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.TOO_MANY_REQUESTS),
    DistributeError: Status(StatusCode.INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR),
    StoreUnavailableError: Status(StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
    LinkUnknownError: Status(StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    LinkExpiredError: Status(StatusCode.FAILED_PRECONDITION, HTTPStatus.GONE),
    LinkReplacedError: Status(StatusCode.FAILED_PRECONDITION, HTTPStatus.GONE),
    LinkUsedError: Status(StatusCode.FAILED_PRECONDITION, HTTPStatus.GONE),
    LinkLockedError: Status(StatusCode.FAILED_PRECONDITION, HTTPStatus.GONE),
    MailError: Status(StatusCode.INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR),
}


def status_of(error: MemberError) -> Status:
    """Return the status of the class of *error*, or of its nearest base class in the table."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
