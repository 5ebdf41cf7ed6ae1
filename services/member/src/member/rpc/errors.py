"""Errors over gRPC: a status code, a sentence, and details that programs can read."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from member.errors import AlreadyExistsError, InvalidInputError, LimitedError, MemberError
from member.statuses import status_of

_DOMAIN = "member.v1"


def rich_status(error: MemberError) -> status_pb2.Status:
    """Return *error* with its details."""
    code, _ = status_of(error).grpc.value
    status = status_pb2.Status(code=code, message=str(error))
    for detail in _details(error):
        status.details.add().Pack(detail)
    return status


def _details(error: MemberError) -> list[Message]:
    match error:
        case InvalidInputError():
            return [_bad_request(error)]
        case AlreadyExistsError():
            return [_taken(field) for field in error.fields]
        case LimitedError():
            return [_retry_info(error)]
        case _:
            return []


def _bad_request(error: InvalidInputError) -> error_details_pb2.BadRequest:
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
        for v in error.violations
    ]
    return error_details_pb2.BadRequest(field_violations=violations)


def _taken(field: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(
        reason="ALREADY_EXISTS", domain=_DOMAIN, metadata={"field": field}
    )


def _retry_info(error: LimitedError) -> error_details_pb2.RetryInfo:
    delay = Duration()
    delay.FromTimedelta(error.retry_after)
    return error_details_pb2.RetryInfo(retry_delay=delay)
