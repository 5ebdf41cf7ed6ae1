"""For any request REST answers as its OpenAPI schema says."""

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies
from schemathesis.specs.openapi import checks

from member import store
from member.service import MemberService
from member.store.database import Database
from member.v1 import member_pb2 as pb
from services.member.tests.doubles import ALICE, ANYBODY
from services.member.tests.transports import http_site
from tests.support.web import http_client

# Other tests cover the differences between databases.
pytestmark = [
    pytest.mark.usefixtures("at_once"),
    pytest.mark.parametrize("db_source", ["sqlite"], indirect=True),
]

# The last operation deletes the caller.
OPERATIONS = [
    "ListMembers",
    "GetMember",
    "CreateMember",
    "UpdateMember",
    "ChangePassword",
    "LoginMember",
    "RenewAccessToken",
    "LogoutMember",
    "VerifyEmail",
    "ResendVerifyEmail",
    "RequestPasswordReset",
    "ResetPassword",
    "ListSessions",
    "EndSession",
    "EndAllSessions",
    "DeleteMember",
]

# The schema cannot express these rules of the service; only its texts name them.
NOT_IN_SCHEMA: Any = [checks.positive_data_acceptance]

EXAMPLES = settings(
    max_examples=6,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(params=["nobody", "member", "admin"])
async def headers(
    request: pytest.FixtureRequest, service: MemberService, db: Database
) -> dict[str, str]:
    """Headers of each kind of caller: nobody, Alice, or Alice as an administrator."""
    await service.sign_up.create_member(ANYBODY, ALICE)
    begun = await service.sessions.log_in(ANYBODY, ALICE.membername, ALICE.password)
    async with db.writing() as session:
        role = "admin" if request.param == "admin" else "member"
        await store.members.set_role(session, ALICE.membername, role)
    proof = {"Authorization": f"Bearer {begun.tokens.access_token}"}
    return {} if request.param == "nobody" else proof


async def test_the_schema_describes_each_rpc_and_nothing_else(service: MemberService) -> None:
    async with http_site(service) as site, http_client(base_url=site) as client:
        schema = (await client.get("/openapi.json")).json()
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    rpcs = pb.DESCRIPTOR.services_by_name["MemberService"].methods_by_name
    assert sorted(operation["operationId"] for operation in operations) == sorted(rpcs)
    assert sorted(OPERATIONS) == sorted(rpcs)


async def test_the_page_that_shows_the_schema_needs_nothing_from_elsewhere(
    service: MemberService,
) -> None:
    async with http_site(service) as site, http_client(base_url=site) as client:
        page = await client.get("/docs")
        script = await client.get("/docs/assets/swagger-ui-bundle.js")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "//" not in page.text
    assert script.status_code == 200


@pytest.mark.parametrize("path", ["/docs/assets", "/docs/assets/", "/docs/assets/../"])
async def test_no_folder_is_listed(service: MemberService, path: str) -> None:
    async with http_site(service) as site, http_client(base_url=site) as client:
        assert (await client.get(path)).status_code == 404


async def test_every_answer_is_one_that_the_schema_describes(
    service: MemberService, headers: dict[str, str]
) -> None:
    async with http_site(service) as site:
        await asyncio.to_thread(_try_out, site, headers)


def _try_out(site: str, headers: dict[str, str]) -> None:
    schema: Any = schemathesis.openapi.from_url(f"{site}/openapi.json")
    for name in OPERATIONS:
        _ask(schema.find_operation_by_id(name), headers)


def _ask(operation: Any, headers: dict[str, str]) -> None:  # noqa: ANN401 - typed only in part
    @EXAMPLES
    @given(case=operation.as_strategy(), own=strategies.booleans())
    def answers_as_described(case: Any, own: bool) -> None:  # noqa: ANN401, FBT001 - as above
        if own and case.path_parameters:
            case.path_parameters["membername"] = ALICE.membername
            if case.operation.definition.raw["operationId"] == "EndAllSessions":
                case.query = {"keep_current": "true"}
        case.call_and_validate(headers=headers, excluded_checks=NOT_IN_SCHEMA)

    answers_as_described()
