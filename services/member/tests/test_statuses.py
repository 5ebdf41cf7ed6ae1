"""The error table, and its errors over gRPC and over REST."""

import json
from datetime import timedelta

import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from member import errors
from member.errors import AlreadyExistsError, InvalidInputError, MemberError, Violation
from member.rpc.errors import rich_status
from member.statuses import status_of
from member.web import problems

LEAVES = [
    errors.InvalidInputError((Violation("email", "wrong"),)),
    errors.RequestIdError(),
    errors.CurrentPasswordError(),
    errors.AlreadyExistsError(("email",)),
    errors.WrongPasswordError(),
    errors.AccessTokenError(),
    errors.RefreshTokenError(),
    errors.PermissionDeniedError(),
    errors.MemberUnknownError(),
    errors.SessionUnknownError(),
    errors.LimitedError(timedelta(seconds=7)),
    errors.DistributeError("send verify email", "Redis is away"),
    errors.StoreUnavailableError(),
    errors.LinkUnknownError(),
    errors.LinkExpiredError(),
    errors.LinkReplacedError(),
    errors.LinkUsedError(),
    errors.LinkLockedError(),
    errors.MailPointlessError("alice", "verified"),
    errors.MailRefusedError("550"),
    errors.MailDelayedError("451"),
]


def leaves_of(kind: type[MemberError]) -> set[type[MemberError]]:
    below = kind.__subclasses__()
    return set[type[MemberError]]().union(*map(leaves_of, below)) if below else {kind}


def test_every_leaf_of_the_tree_is_tested_here() -> None:
    assert {type(error) for error in LEAVES} >= leaves_of(MemberError)


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: type(error).__name__)
def test_every_error_has_a_status(error: MemberError) -> None:
    status = status_of(error)
    assert status.grpc is not StatusCode.OK
    assert status.http >= 400


def test_violations_travel_as_bad_request() -> None:
    error = InvalidInputError((Violation("email", "wrong"), Violation("password", "short")))
    status = rich_status(error)
    details = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(details)
    assert [(v.field, v.description) for v in details.field_violations] == [
        ("email", "wrong"),
        ("password", "short"),
    ]
    assert (status.code, status.message) == (3, "email: wrong; password: short")


def test_each_field_that_is_taken_travels_as_error_info() -> None:
    status = rich_status(AlreadyExistsError(("membername", "email")))
    infos = [error_details_pb2.ErrorInfo() for _ in status.details]
    assert [d.Unpack(i) for d, i in zip(status.details, infos, strict=True)] == [True, True]
    assert [info.metadata["field"] for info in infos] == ["membername", "email"]


def test_how_long_to_wait_travels_as_retry_info() -> None:
    status = rich_status(errors.LimitedError(timedelta(milliseconds=6400)))
    info = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert info.retry_delay.ToTimedelta() == timedelta(milliseconds=6400)
    assert status.message == "too many attempts: try again in 7 s"


def test_a_task_that_was_not_queued_is_reported_in_the_words_of_the_lesson() -> None:
    status = rich_status(errors.DistributeError("send verify email", "Redis is away"))
    assert status.message == "failed to distribute task to send verify email: Redis is away"


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: type(error).__name__)
def test_both_transports_report_the_same(error: MemberError) -> None:
    response, status = problems.of_error(error), rich_status(error)
    problem = json.loads(bytes(response.body))
    assert problem["code"] == status_of(error).grpc.name
    assert problem["detail"] == status.message
    assert (problem.get("violations", []), problem.get("fields", [])) == _details_over_grpc(status)


def _details_over_grpc(status: status_pb2.Status) -> tuple[list[dict[str, str]], list[str]]:
    """Return the violations and the fields in the details of *status*."""
    bad, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
    found = [v for detail in status.details if detail.Unpack(bad) for v in bad.field_violations]
    fields = [info.metadata["field"] for detail in status.details if detail.Unpack(info)]
    return [{"field": v.field, "description": v.description} for v in found], fields
