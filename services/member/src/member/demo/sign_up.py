"""Act 1: a member signs up, and the service queues a task for the mail."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from grpc import aio

from member.demo.processes import PATIENCE_S, DemoError, expect, until
from member.demo.redis import scheduled_set
from member.demo.service import Event
from member.demo.stage import Run, Stage
from member.v1 import member_pb2 as pb
from member.v1.member_pb2_grpc import MemberServiceStub
from member.worker.tasks import PayloadSendVerifyEmail

ALICE = pb.CreateMemberRequest(
    membername="alice",
    full_name="Alice Liddell",
    email="Alice@example.com",
    password="curiouser and curiouser",  # noqa: S106 - of the demo only
    locale="en",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUp:
    """A member and its task.

    Attributes:
        task: The log event "enqueued task".
    """

    member: pb.Member
    task: Event


async def first_act(stage: Stage, run: Run) -> SignedUp:
    """Sign up Alice, and follow her task through the outbox."""
    stage.narrator.open(
        "Act 1. A member signs up; the mail is a task in the database, then in Redis."
    )
    stage.database.watch_outbox()
    alice = await sign_up(stage, run, ALICE)
    task = alice.task
    stage.narrator.say(
        "The transaction that stored the member also wrote the task: a row in the outbox",
        row=task["task_id"],
        type=task["type"],
        payload=task["payload"],
        queue=task["queue"],
        max_retry=task["max_retry"],
        delay=f"{stage.delay_s} s, rounded up to a whole second, so that no task is early",
    )
    stay, due = await wait_until_relayed(stage, task)
    stage.narrator.say(
        "After the commit the relay moved it to Redis: the same id, and the row is gone",
        in_outbox=f"{stay / timedelta(milliseconds=1):.0f} ms",
        in_Redis=f"{scheduled_set(task['queue'])}, due at {due:%H:%M:%S} UTC; now {_now()}",
    )
    return alice


async def sign_up(stage: Stage, run: Run, request: pb.CreateMemberRequest) -> SignedUp:
    """Call CreateMember, and print how long the answer took."""
    stage.narrator.say(
        "Calling CreateMember over gRPC",
        membername=request.membername,
        full_name=request.full_name,
        locale=request.locale,
    )
    start = time.monotonic()
    member = (await _create_member(run.grpc, request)).member
    expect(not member.email_verified, "a new member must not be verified")
    stage.narrator.say(
        "Member created; the answer did not wait for the mail",
        answered_in=f"{(time.monotonic() - start) * 1000:.0f} ms",
        email=member.email,
        verified=member.email_verified,
    )
    payload = PayloadSendVerifyEmail(membername=member.membername).to_json().decode()
    return SignedUp(member=member, task=await run.event("enqueued task", payload=payload))


async def _create_member(address: str, request: pb.CreateMemberRequest) -> pb.CreateMemberResponse:
    async with aio.insecure_channel(address) as channel:
        try:
            return await MemberServiceStub(channel).CreateMember(request, timeout=PATIENCE_S)
        except aio.AioRpcError as error:
            msg = f"CreateMember answered {error.code().name}: {error.details()}"
            raise DemoError(msg) from error


async def wait_until_relayed(stage: Stage, task: Event) -> tuple[timedelta, datetime]:
    """Wait until a task is in Redis; return how long it was in the outbox, and when it is due."""

    async def stay() -> timedelta | None:
        return stage.database.stay(task["task_id"])

    async def due() -> datetime | None:
        return await stage.redis.due(task["queue"], task["task_id"])

    moved_after = await until(stay, f"task {task['task_id']} did not leave the outbox")
    return moved_after, await until(due, f"Redis holds no task {task['task_id']}")


def _now() -> str:
    return f"{datetime.now(UTC):%H:%M:%S}"
