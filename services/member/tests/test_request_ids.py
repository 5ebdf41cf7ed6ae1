"""One id joins all log lines, from a call to the mail that it causes."""

from collections.abc import AsyncGenerator
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from grpc import aio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from member.demo.service import Event, ServiceLog
from member.request_ids import HEADER, request_id
from member.v1 import member_pb2 as pb
from member.web.requests import RequestLog
from services.member.tests.browser import browse
from services.member.tests.programs import ALICE, logged_program, stub_of

PATIENCE_S = 60.0


@pytest.fixture
def log() -> ServiceLog:
    return ServiceLog()


@pytest.fixture
async def started(
    log: ServiceLog, variables: dict[str, str], tmp_path: Path
) -> AsyncGenerator[Event]:
    """The log event of a running program with its addresses."""
    async with logged_program(variables, tmp_path, log):
        yield await log.wait("member service started", within_s=PATIENCE_S)


@pytest.mark.parametrize("sane", ["a", "A-1_b.c", "x" * 64])
def test_the_id_of_a_caller_is_kept(sane: str) -> None:
    assert request_id(sane) == sane


@pytest.mark.parametrize("odd", [None, "", "x" * 65, "a b", "a\n", 'a"', "é"])
def test_a_text_that_is_no_id_is_replaced(odd: str | None) -> None:
    made = request_id(odd)
    assert made != odd
    assert request_id(made) == made


async def test_the_lines_of_a_call_and_of_its_task_have_one_id(
    started: Event, log: ServiceLog
) -> None:
    async with stub_of(started["grpc"]) as stub:
        await stub.CreateMember(ALICE, metadata=aio.Metadata((HEADER, "sign-up.7")))
    await log.wait("rpc answered", within_s=PATIENCE_S, request_id="sign-up.7")
    await log.wait("enqueued task", within_s=PATIENCE_S, request_id="sign-up.7")
    await log.wait("processed task", within_s=PATIENCE_S, request_id="sign-up.7")


async def test_an_rpc_answers_with_its_id(started: Event) -> None:
    async with stub_of(started["grpc"]) as stub:
        call = stub.CreateMember(ALICE, metadata=aio.Metadata((HEADER, "sign-up.7")))
        await call
        assert aio.Metadata(*(await call.trailing_metadata()))[HEADER] == "sign-up.7"


async def test_an_rpc_that_is_refused_answers_with_its_id_and_why(
    started: Event, log: ServiceLog
) -> None:
    async with stub_of(started["grpc"]) as stub:
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.CreateMember(pb.CreateMemberRequest())
    metadata = caught.value.trailing_metadata()
    await log.wait("rpc refused", within_s=PATIENCE_S, request_id=metadata[HEADER])
    assert "grpc-status-details-bin" in metadata


async def test_a_request_answers_with_its_id(started: Event) -> None:
    page = await browse(
        f"http://{started['http']}/verify-email", headers={"X-Request-Id": "look-7"}
    )
    assert page.headers[HEADER] == "look-7"


async def test_a_request_has_a_line_without_what_was_asked_for(
    started: Event, log: ServiceLog
) -> None:
    page = await browse(f"http://{started['http']}/verify-email?token=T0K3N")
    line = await log.wait("request answered", within_s=PATIENCE_S, request_id=page.headers[HEADER])
    assert (line["method"], line["route"], line["status"]) == ("GET", "/verify-email", page.status)
    assert line["ms"] > 0
    assert "T0K3N" not in "".join(log.lines)


async def test_a_path_that_leads_nowhere_is_not_logged(started: Event, log: ServiceLog) -> None:
    page = await browse(f"http://{started['http']}/T0K3N")
    line = await log.wait("request answered", within_s=PATIENCE_S, request_id=page.headers[HEADER])
    assert (line["route"], line["status"]) == ("", 404)
    assert "T0K3N" not in "".join(log.lines)


async def test_a_status_is_logged_as_a_number() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=HTTPStatus.NOT_FOUND)(scope, receive, send)

    with capture_logs() as lines:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(RequestLog(app))) as client:
            await client.get("http://127.0.0.1/")
    assert [repr(line["status"]) for line in lines] == ["404"]
