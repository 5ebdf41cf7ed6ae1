"""A deletion leaves no e-mail address in tables, tasks, archives, logs, traces and metrics.

The mail server refuses every mail and quotes its recipient, in many forms.
"""

import base64
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from email.message import EmailMessage
from html import escape
from pathlib import Path
from traceback import format_exception
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis import Redis
from sqlalchemy import insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from member import store, tracing
from member.demo.smtp import SmtpSink
from member.errors import MailDelayedError, MailError, MailRefusedError
from member.mail.transport import SmtpTransport
from member.members import Member
from member.otel import OtelTracer
from member.service import Dependencies, MemberService, member_service
from member.service.housekeeping import Housekeeping
from member.store import database
from member.store.database import Database
from member.store.tables import OUTBOX, MemberRow
from member.v1 import member_pb2 as pb
from member.worker.distributor import OutboxTaskDistributor
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    RULES,
    FakeClock,
    log_in_as,
)
from services.member.tests.leaks import OutputReader, find_leaks
from services.member.tests.programs import program, stub_of
from services.member.tests.visitor import bearer
from tests.support.servers import RedisServer, free_port
from tests.support.web import http_client

LOCAL, DOMAIN, SHOWN_DOMAIN = "zaphod.beeblebrox", "xn--bcher-kva.example.org", "bücher.example.org"
ADDRESS = f"{LOCAL}@{DOMAIN}"
PIECES = [ADDRESS, LOCAL, DOMAIN, SHOWN_DOMAIN, "zaphod", "bcher-kva"]
SIGN_UP = pb.CreateMemberRequest(
    membername="alice",
    full_name="Alice Liddell",
    email=f"Zaphod.Beeblebrox@{SHOWN_DOMAIN}",
    password=ALICE.password,
)


def quotations(address: str) -> Iterator[str]:
    """Yield the forms in which a mail server may quote an address."""
    local, _, domain = address.partition("@")
    yield from (f"<{address}>", address.upper(), address.title(), f'"{local}"@{domain}')
    yield from (
        f"user {local}",
        f"no {local.upper()} at {domain.upper()}",
        f"{SHOWN_DOMAIN} is gone",
    )
    yield from (quote(address, safe=""), address.replace("@", "+40"), escape(address))
    yield from (
        address.replace("@", " (at) "),
        address.replace("@", "&#64;"),
        address.encode().hex(),
    )
    yield from (base64.b64encode(b"." * n + address.encode()).decode() for n in range(3))


class QuotingSink(SmtpSink):
    """A mail server that refuses every mail and quotes its recipient.

    Attributes:
        code: The code of its answer, such as ``550 5.1.1``.
        when: The command that it refuses.
    """

    def __init__(self, code: str, when: str) -> None:
        super().__init__()
        self._code, self._when = code, when

    def _connection(self) -> SMTP:
        return SMTP(self, hostname="sink.example.com", enable_SMTPUTF8=True)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        envelope.rcpt_tos.append(address)
        return self._refusal(address) if self._when == "RCPT" else "250 OK"

    async def handle_DATA(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        del server, session
        return self._refusal(envelope.rcpt_tos[0])

    def _refusal(self, address: str) -> str:
        number, _, enhanced = self._code.partition(" ")
        lines = [f"{enhanced} no mail", *quotations(address)]
        if self._when == "nonsense":
            return f"what about {address}"
        return "\r\n".join([*(f"{number}-{line}" for line in lines), f"{number} {address}"])


@asynccontextmanager
async def refusing(code: str, when: str) -> AsyncGenerator[str]:
    async with QuotingSink(code, when).running() as address:
        yield address


def keys_of(server: RedisServer) -> bytes:
    """Return all data of a Redis."""
    client: Any = Redis.from_url(server.url)
    readers: dict[bytes, Callable[[bytes], object]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
        b"none": lambda _: None,  # it has ended since the scan
    }
    with client:
        return _bytes_of([(key, readers[client.type(key)](key)) for key in client.scan_iter()])


async def rows_of(source: str) -> bytes:
    """Return all data of a database."""
    async with database.open_database(source) as opened, opened.engine.connect() as connection:
        names = await connection.run_sync(lambda c: inspect(c).get_table_names())
        rows = [(await connection.execute(text(f'SELECT * FROM "{name}"'))).all() for name in names]
    return _bytes_of([[tuple(row) for row in table] for table in rows])


def _bytes_of(found: Any) -> bytes:  # noqa: ANN401 - a tree of any values
    """Return all values of a tree, bytes and texts unchanged."""
    match found:
        case bytes():
            return found
        case dict():
            return _bytes_of([*found.items()])
        case list() | tuple() | set():
            return b"\n".join(map(_bytes_of, cast("Iterable[Any]", found)))
        case _:
            return str(found).encode()


def find_quotes(said: bytes) -> list[str]:
    """Return the pieces of the address in *said*, in any form and case."""
    return find_leaks(said, PIECES) + find_leaks(said.lower(), PIECES)


@pytest.mark.parametrize(
    ("code", "when", "logged"),
    [
        ("550 5.1.1", "RCPT", b"mail refused: 550 5.1.1 (addressing)"),
        ("451 4.2.1", "DATA", b"mail delayed: 451 4.2.1 (mailbox)"),
    ],
)
async def test_a_deletion_leaves_no_address_of_mail_anywhere(  # noqa: PLR0913, PLR0917 - fixtures
    variables: dict[str, str],
    redis: RedisServer,
    db_source: str,
    tmp_path: Path,
    code: str,
    when: str,
    logged: bytes,
) -> None:
    grpc, http = (f"127.0.0.1:{free_port()}" for _ in range(2))
    async with (
        refusing(code, when) as smtp,
        program(
            {
                **variables,
                "DB_SOURCE": db_source,
                "SMTP_ADDRESS": smtp,
                "GRPC_SERVER_ADDRESS": grpc,
                "HTTP_SERVER_ADDRESS": http,
                "LOG_LEVEL": "debug",
            },
            tmp_path,
        ) as process,
        stub_of(grpc) as stub,
    ):
        reader = OutputReader(process)
        await reader.wait(b"member service started")
        await stub.CreateMember(SIGN_UP)
        await reader.wait(logged)
        login = pb.LoginMemberRequest(membername="alice", password=ALICE.password)
        begun = await stub.LoginMember(login)
        assert begun.member.email == ADDRESS
        assert find_quotes(await rows_of(db_source))
        proof = bearer(begun.session.access_token)
        await stub.DeleteMember(pb.DeleteMemberRequest(membername="alice"), metadata=proof)
        async with http_client() as client:
            metrics = (await client.get(f"http://{http}/metrics")).content
        said = await reader.stop_and_read()
    kept = keys_of(redis)
    assert b"task:send_verify_email" in kept
    assert logged in kept
    assert find_quotes(kept) == []
    assert find_quotes(await rows_of(db_source)) == []
    assert find_quotes(metrics) == []
    assert find_quotes(said) == []
    assert b"DeleteMember" in said


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with tracing.using(OtelTracer(provider)):
        yield exporter
    provider.shutdown()


def mail_to_alice() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = "service@example.com", ADDRESS
    mail.set_content("Hello")
    return mail


@pytest.mark.parametrize("when", ["RCPT", "DATA", "nonsense"])
@pytest.mark.parametrize(
    ("code", "error"), [("550 5.7.1", MailRefusedError), ("450", MailDelayedError)]
)
async def test_no_trace_and_no_traceback_holds_what_a_mail_server_quotes(
    spans: InMemorySpanExporter, code: str, error: type[MailError], when: str
) -> None:
    async with refusing(code, when) as address:
        host, _, port = address.partition(":")
        transport = SmtpTransport(host, int(port), security="none")
        with pytest.raises(MailError) as raised, tracing.span("client", "send mail"):
            await transport.send(mail_to_alice())
    (span,) = spans.get_finished_spans()
    text = "".join(format_exception(raised.value)) + span.to_json()
    assert find_quotes(text.encode()) == []
    assert raised.type is error or when == "nonsense"


async def outbox_of(db: Database) -> list[tuple[str, bytes]]:
    async with db.reading() as session:
        table = OUTBOX.table
        found = await session.execute(select(table.c.id, table.c.message).order_by(table.c.seq))
        return [(row.id, row.message) for row in found]


@pytest.fixture
def writing_service(dependencies: Dependencies, db: Database) -> MemberService:
    """The service, whose tasks wait in the outbox because there is no relay."""
    distributor = OutboxTaskDistributor(OUTBOX, db)
    return member_service(replace(dependencies, distributor=distributor), RULES)


async def test_tasks_that_wait_for_redis_go_with_their_member_and_no_others(
    writing_service: MemberService, db: Database
) -> None:
    names = ("alice", "alice2", "bob")
    for name in names:
        await sign_up(writing_service, name)
    alice = await log_in_as(writing_service, ALICE)
    await writing_service.members.delete(alice, "alice")
    messages = [message for _, message in await outbox_of(db)]
    assert [b'"alice2"' in message for message in messages] == [True, False]
    assert b'"bob"' in messages[1]


async def test_tasks_of_members_that_are_purged_go_too(
    writing_service: MemberService, db: Database, clock: FakeClock
) -> None:
    await sign_up(writing_service, "alice")
    week = timedelta(days=7)
    clock.turn(week + timedelta(seconds=1))
    await sign_up(writing_service, "bob")
    await Housekeeping(database=db, unverified_lifetime=week, clock=clock).purge()
    (only,) = await outbox_of(db)
    assert b'"bob"' in only[1]


async def test_a_deletion_leaves_nothing_in_the_free_space_of_a_file(
    tmp_path: Path, clock: FakeClock
) -> None:
    file = tmp_path / "member.db"
    async with database.open_database(f"sqlite:///{file}") as db:
        alice = Member(
            id=uuid4(),
            membername="alice",
            full_name="Alice Liddell",
            email=ADDRESS,
            locale="en",
            created_at=clock(),
        )
        async with db.writing() as session:
            await store.members.insert(session, alice, password_hash="not asked for")
    assert ADDRESS.encode() in file.read_bytes()
    async with database.open_database(f"sqlite:///{file}") as db, db.writing() as session:
        await store.members.delete(session, alice.id)
    assert ADDRESS.encode() not in file.read_bytes()


@pytest.mark.parametrize("values", [{"membername": "other"}, {"full_name": None, "id": uuid4()}])
async def test_no_error_of_the_database_quotes_what_a_row_would_hold(
    service: MemberService, db: Database, values: dict[str, object]
) -> None:
    await sign_up(service, "alice")
    alice = await service.members.get(await log_in_as(service, ALICE), "alice")
    row = {**asdict(alice), "password_hash": "#", "id": uuid4(), "membername": "bob", **values}
    with pytest.raises(IntegrityError) as raised:
        async with db.writing() as session:
            await session.execute(insert(MemberRow), row)
    text = "".join(format_exception(raised.value))
    assert ALICE.email not in text
    assert ALICE.full_name not in text


async def sign_up(service: MemberService, name: str) -> None:
    await service.sign_up.create_member(
        ANYBODY, replace(ALICE, membername=name, email=f"{name}@example.com")
    )
