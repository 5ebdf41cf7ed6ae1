"""Each role runs alone, and all roles together make the service."""

from pathlib import Path
from typing import Any, cast

import pytest
from grpc import StatusCode, aio
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from member.demo.smtp import SmtpSink
from member.program import running
from member.roles import Role, format_roles, read_roles
from member.settings import Settings
from services.member.tests.browser import browse
from services.member.tests.doubles import link_of
from services.member.tests.programs import create_alice, output_of, output_until, program

ASK = reflection_pb2.ServerReflectionRequest(list_services="")


def with_roles(settings: Settings, *roles: Role) -> Settings:
    return settings.model_copy(update={"roles": frozenset(roles)})


def test_roles_are_read_and_written_alike() -> None:
    assert format_roles(read_roles(" relay,grpc ")) == "grpc,relay"


async def test_four_processes_do_what_one_does(
    settings: Settings, sink: tuple[SmtpSink, str]
) -> None:
    async with (
        running(with_roles(settings, Role.HTTP)) as http,
        running(with_roles(settings, Role.GRPC)) as grpc,
        running(with_roles(settings, Role.RELAY)),
        running(
            with_roles(
                settings.model_copy(update={"public_url": f"http://{http.http}"}), Role.WORKER
            )
        ),
    ):
        await create_alice(grpc.grpc)
        link = link_of(await sink[0].mails.get())
        page = await browse(link, "POST")
    assert page.scene == "verified"


async def test_a_worker_answers_no_calls(settings: Settings) -> None:
    async with running(with_roles(settings, Role.WORKER)) as found:
        page = await browse(f"http://{found.http}/verify-email?token=x")
    assert found.grpc == ""
    assert page.status == 404


async def test_the_grpc_role_has_no_pages(settings: Settings) -> None:
    async with running(with_roles(settings, Role.GRPC)) as found:
        async with aio.insecure_channel(found.grpc) as channel:
            await channel.channel_ready()
        page = await browse(f"http://{found.http}/verify-email?token=x")
    assert page.status == 404


async def test_a_page_that_is_switched_off_does_not_exist(settings: Settings) -> None:
    off = {"metrics": "off", "api_docs": "off", "grpc_reflection": "off"}
    async with running(settings.model_copy(update=off)) as found:
        paths = ("/metrics", "/docs", "/docs/assets/swagger-ui.css", "/openapi.json")
        pages = [await browse(f"http://{found.http}{path}") for path in paths]
        async with aio.insecure_channel(found.grpc) as channel:
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", channel))
            with pytest.raises(aio.AioRpcError) as caught:
                await anext(aiter(stub.ServerReflectionInfo(iter([ASK]))))
    assert [page.status for page in pages] == [404] * 4
    assert caught.value.code() is StatusCode.UNIMPLEMENTED


async def test_in_production_a_relay_needs_neither_key_nor_mail_server(
    variables: dict[str, str], tmp_path: Path
) -> None:
    bare = {**variables, "ENVIRONMENT": "production", "SMTP_ADDRESS": ""}
    async with program(bare, tmp_path, "--roles", "relay") as process:
        assert b'"roles": "relay"' in await output_until(process, b"member service started")


@pytest.mark.parametrize("flag", ["wrong", "grpc,wrong", ""])
async def test_an_unknown_role_ends_the_start_and_the_choices_are_named(
    variables: dict[str, str], tmp_path: Path, flag: str
) -> None:
    async with program(variables, tmp_path, "--roles", flag) as process:
        said = await output_of(process)
        assert await process.wait() == 2
    assert b"cannot start: ROLES: must be one or more of grpc,http,worker,relay" in said


async def test_the_flag_that_names_roles_wins_over_the_setting(
    variables: dict[str, str], tmp_path: Path
) -> None:
    changed = {**variables, "ROLES": "worker"}
    async with program(changed, tmp_path, "--roles", "grpc,relay") as process:
        assert b'"roles": "grpc,relay"' in await output_until(process, b"member service started")
