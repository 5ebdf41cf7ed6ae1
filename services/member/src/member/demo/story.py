"""What happens in the demo, step by step, told from what the parts themselves report."""

import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from http.client import HTTPResponse
from pathlib import Path
from urllib.request import Request, urlopen

from grpc import aio
from redis.asyncio import Redis

from member.demo.processes import PATIENCE_S, DemoError, redis_server
from member.demo.service import Event, ServiceLog, member_service
from member.demo.smtp import SmtpSink
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub

_LOOK_S = 0.02
_LINK = re.compile(r"http://\S+/verify-email\?token=\S+")
_SIGN_UP = pb.CreateMemberRequest(
    membername="alice",
    full_name="Alice Liddell",
    email="Alice@example.com",
    password="curiouser and curiouser",  # noqa: S106 - nobody's
)


class Narrator:
    """Tells the steps, with the time since the start."""

    def __init__(self) -> None:
        """Start the watch."""
        self._start = time.monotonic()

    def say(self, what: str, **facts: object) -> None:
        """Tell one step and its facts."""
        print(f"{time.monotonic() - self._start:6.1f} s  {what}", flush=True)  # noqa: T201
        for name, fact in facts.items():
            print(f"{'':10}{name.replace('_', ' '):>12}: {fact}", flush=True)  # noqa: T201


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that runs while the story is told."""

    narrator: Narrator
    log: ServiceLog
    sink: SmtpSink
    folder: Path
    redis: str
    grpc: str
    delay_s: int


@asynccontextmanager
async def set_stage(folder: Path, log: ServiceLog, *, delay_s: int) -> AsyncGenerator[Stage]:
    """Start Redis, a mail server and the service; end them all with the block."""
    narrator = Narrator()
    sink = SmtpSink()
    narrator.say("Starting Redis and a mail server")
    async with redis_server(folder) as redis, sink.running() as smtp:
        narrator.say("Redis and a mail server started", redis=redis, mail_server=smtp)
        narrator.say("Starting the member service")
        async with member_service(folder, log, redis=redis, smtp=smtp, delay_s=delay_s) as pid:
            await log.wait("start task processor", within_s=PATIENCE_S)
            started = await log.wait("member service started", within_s=PATIENCE_S)
            narrator.say(
                "Member service started, with its task processor",
                process=pid,
                gRPC=started["grpc"],
                pages=started["http"],
                database=f"SQLite, {folder}/member.db",
            )
            yield Stage(
                narrator=narrator,
                log=log,
                sink=sink,
                folder=folder,
                redis=redis,
                grpc=started["grpc"],
                delay_s=delay_s,
            )
            narrator.say("Stopping the service, the mail server and Redis")


async def tell(stage: Stage) -> None:
    """Create a member and follow the mail until the address is verified."""
    await _create_member(stage)
    enqueued = await _enqueued(stage)
    await _picked_up(stage, enqueued)
    link = await _mail(stage)
    await _open(stage, link)
    await _confirm(stage, link)
    _check_database(stage)


async def _create_member(stage: Stage) -> None:
    stage.narrator.say("Calling CreateMember over gRPC", membername="alice")
    start = time.monotonic()
    answer = await _call_create_member(stage.grpc)
    _expect(not answer.member.email_verified, "a new member must not be verified")
    stage.narrator.say(
        "Member created; the RPC did not wait for the mail",
        answered_in=f"{(time.monotonic() - start) * 1000:.0f} ms",
        email=answer.member.email,
        verified=answer.member.email_verified,
    )


async def _call_create_member(address: str) -> pb.CreateMemberResponse:
    async with aio.insecure_channel(address) as channel:
        try:
            return await MemberServiceStub(channel).CreateMember(_SIGN_UP, timeout=PATIENCE_S)
        except aio.AioRpcError as error:
            msg = f"CreateMember answered {error.code().name}: {error.details()}"
            raise DemoError(msg) from error


async def _enqueued(stage: Stage) -> Event:
    event = await stage.log.wait("enqueued task", within_s=PATIENCE_S)
    key, due = await _scheduled(stage, event)
    stage.narrator.say(
        "Task written with the member; enqueued in Redis after the commit",
        type=event["type"],
        payload=event["payload"],
        queue=event["queue"],
        max_retry=event["max_retry"],
        delay=f"{stage.delay_s} s, rounded up to a whole second, so that nothing is early",
        found_in=f"{key}, due at {due:%H:%M:%S} UTC; now {datetime.now(UTC):%H:%M:%S}",
    )
    return event


async def _scheduled(stage: Stage, event: Event) -> tuple[str, datetime]:
    """Look into Redis itself: the sorted set of delayed tasks, as every asynq peer reads it."""
    key = f"asynq:{{{event['queue']}}}:scheduled"
    async with Redis.from_url(f"redis://{stage.redis}") as redis:
        for _ in range(int(PATIENCE_S / _LOOK_S)):  # it comes a moment after the commit
            if score := await redis.zscore(key, event["task_id"]):
                return key, datetime.fromtimestamp(float(score), UTC)
            await asyncio.sleep(_LOOK_S)
    msg = f"Redis holds no task {event['task_id']} in {key}"
    raise DemoError(msg)


async def _picked_up(stage: Stage, enqueued: Event) -> None:
    stage.narrator.say("Waiting until the task is due")
    event = await stage.log.wait("processing task", within_s=stage.delay_s + PATIENCE_S)
    waited = datetime.fromisoformat(event["timestamp"]) - datetime.fromisoformat(
        enqueued["timestamp"]
    )
    _expect(event["task_id"] == enqueued["task_id"], "another task was picked up")
    stage.narrator.say(
        "A worker picked the task up",
        after=f"{waited.total_seconds():.1f} s",
        retried=event["retried"],
    )


async def _mail(stage: Stage) -> str:
    async with asyncio.timeout(PATIENCE_S):
        mail = await stage.sink.mails.get()
    link = _LINK.search(_text(mail))
    if link is None:
        msg = f"the mail holds no link:\n{mail}"
        raise DemoError(msg)
    stage.narrator.say(
        "Mail arrived over SMTP",
        From=mail["From"],
        To=mail["To"],
        Subject=mail["Subject"],
        link=link[0],
    )
    return link[0]


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return str(body.get_content()) if body else ""


async def _open(stage: Stage, link: str) -> None:
    page = await asyncio.to_thread(_browse, link, "GET")
    _expect('<form method="post">' in page, f"the page has no Confirm button:\n{page}")
    _expect(_verified_at(stage) is None, "opening the link must not verify")
    stage.narrator.say("Opened the link: a Confirm button; nothing verified yet")


async def _confirm(stage: Stage, link: str) -> None:
    page = await asyncio.to_thread(_browse, link, "POST")
    _expect('data-scene="verified"' in page, f"the address was not verified:\n{page}")
    stage.narrator.say("Pressed Confirm: verified")
    again = await asyncio.to_thread(_browse, link, "POST")
    _expect('data-scene="already"' in again, f"the second click was not recognized:\n{again}")
    stage.narrator.say("Pressed it again: already verified")


def _check_database(stage: Stage) -> None:
    verified_at = _verified_at(stage)
    _expect(verified_at is not None, "the database does not say that the member is verified")
    stage.narrator.say("Checked in the database", email_verified_at=f"{verified_at} UTC")


def _verified_at(stage: Stage) -> str | None:
    source = f"file:{stage.folder}/member.db?mode=ro"
    with closing(sqlite3.connect(source, uri=True)) as database:
        query = "SELECT email_verified_at FROM members WHERE membername = 'alice'"
        (value,) = database.execute(query).fetchone()
    return value


def _browse(link: str, method: str) -> str:
    request = Request(link, method=method)  # noqa: S310 - our own page
    response: HTTPResponse
    with urlopen(request, timeout=PATIENCE_S) as response:  # noqa: S310 - our own page
        return response.read().decode()


def _expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise DemoError(otherwise)
