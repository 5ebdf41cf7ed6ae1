"""The Dockerfile copies files that exist, and builds the whole program."""

import http.server
import os
import shutil
import ssl
import subprocess
import sys
import threading
from asyncio import TaskGroup
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from grpc import aio

from member.demo.processes import program
from member.demo.service import ServiceLog
from member.demo.smtp import SmtpSink
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from services.member.tests.doubles import link_of
from services.member.tests.image import (
    BUILDING,
    DOCKERFILE,
    FINAL,
    PROGRAMS,
    ROOT,
    build,
    fill_context,
)
from tests.support.dockerfile import copy_sources, values
from tests.support.servers import Certificates, RedisServer

ALICE = pb.CreateMemberRequest(
    membername="alice",
    full_name="Alice Liddell",
    email="alice@example.com",
    password="curiouser and curiouser",
)
NOT_FOR_PRODUCTION = {"aiosmtpd", "hatchling", "pip", "pytest", "setuptools", "wheel"}
HEALTHCHECK = DOCKERFILE.with_name("healthcheck.py")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """The files of the repository that Docker sees."""
    folder = tmp_path_factory.mktemp("context")
    fill_context(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def programs(
    context: Path, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Generator[Path]:
    """The folder that the last stage copies from the first."""
    root = tmp_path_factory.mktemp("root")
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir("wheels")
    yield build(BUILDING, context=context, root=root, kept=kept)
    # Thousands of files, which pytest would remove at the end of a later run, while nothing runs.
    shutil.rmtree(root)


@pytest.mark.parametrize("name", sorted({*copy_sources(BUILDING), *copy_sources(FINAL)}))
def test_files_that_the_image_copies_are_in_the_context(context: Path, name: str) -> None:
    assert (context / name).exists()


def test_no_secret_and_no_test_is_in_the_context(context: Path) -> None:
    names = {path.relative_to(context).as_posix() for path in context.rglob("*")}
    assert not {name for name in names if name.endswith(".env") or "tests" in name.split("/")}
    assert ".git" not in names


@pytest.mark.timeout(900)  # it downloads packages that are not in pip's cache
def test_the_image_has_what_runs_and_nothing_that_builds_or_tests(programs: Path) -> None:
    (packages,) = programs.glob("lib/python*/site-packages")
    names = {path.name for path in packages.iterdir()}
    assert {"member", "pyasynq"} <= names
    assert not NOT_FOR_PRODUCTION & names


@pytest.mark.timeout(900)
async def test_the_program_of_the_image_signs_up_and_sends_the_mail(
    programs: Path, redis: RedisServer, sink: tuple[SmtpSink, str], tmp_path: Path
) -> None:
    """This needs the migrations, templates, common passwords and the protobuf code."""
    variables = {
        "ENVIRONMENT": "development",
        "REDIS_ADDRESS": redis.url,
        "GRPC_SERVER_ADDRESS": "127.0.0.1:0",
        "HTTP_SERVER_ADDRESS": "127.0.0.1:0",
        "SMTP_ADDRESS": sink[1],
        "SMTP_SECURITY": "none",
        "VERIFY_EMAIL_DELAY": "1s",
        "LOG_FORMAT": "json",
    }
    log = ServiceLog()
    command = (programs / "bin" / "member",)
    async with (
        TaskGroup() as group,
        program(command, folder=tmp_path, variables=variables) as process,
    ):
        group.create_task(log.read(process.stdout))
        started = await log.wait("member service started", within_s=120)
        async with aio.insecure_channel(started["grpc"]) as channel:
            await MemberServiceStub(channel).CreateMember(ALICE)
        mail = await sink[0].mails.get()
    assert link_of(mail)


@pytest.mark.timeout(900)
def test_operators_have_the_commands_of_pyasynq_in_the_image(
    programs: Path, redis: RedisServer
) -> None:
    environment = {"PYASYNQ_URI": redis.url, "PATH": os.defpath}
    command = [programs / "bin" / "pyasynq", "stats"]
    said = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    assert b"Redis" in said


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert values(FINAL, "USER") == ["10001:10001"]


def test_the_license_is_in_the_image() -> None:
    assert f"LICENSE services/member/deploy/healthcheck.py {PROGRAMS}/" in values(FINAL, "COPY")
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


class Health(http.server.BaseHTTPRequestHandler):
    """A program that answers its health check."""

    status = HTTPStatus.OK

    def do_GET(self) -> None:
        """Answer the health check."""
        known = self.path == "/healthz"
        self.send_response(self.status if known else HTTPStatus.NOT_FOUND)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class Sick(Health):
    """A program whose health check fails."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


@contextmanager
def answering(
    handler: type[Health], certificates: Certificates | None = None
) -> Generator[dict[str, str]]:
    """Run a server with *handler*; yield the settings with its address."""
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        settings = {"HTTP_SERVER_ADDRESS": f"0.0.0.0:{server.server_port}"}
        if certificates:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificates.server)
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            settings["TLS_CERT_FILE"] = str(certificates.server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield settings
        server.shutdown()
        thread.join()


@pytest.fixture
def certificates() -> Generator[Certificates]:
    made = Certificates.make()
    yield made
    shutil.rmtree(made.authority.parent)


def health_of(settings: dict[str, str]) -> int:
    """Return the exit code of the health check."""
    command = [sys.executable, HEALTHCHECK]
    return subprocess.run(command, env=settings, capture_output=True, check=False).returncode


def test_a_program_that_says_so_is_healthy() -> None:
    with answering(Health) as settings:
        assert health_of(settings) == 0


def test_a_program_with_a_certificate_is_asked_over_tls(certificates: Certificates) -> None:
    with answering(Health, certificates) as settings:
        assert health_of(settings) == 0


def test_a_program_that_says_it_is_not_is_not_healthy() -> None:
    with answering(Sick) as settings:
        assert health_of(settings) == 1


def test_a_program_that_does_not_answer_is_not_healthy() -> None:
    with answering(Health) as settings:
        pass
    assert health_of(settings) == 1
