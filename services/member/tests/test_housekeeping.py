"""Expired data is removed every hour."""

from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

import pyasynq
from member import store
from member.answered_sign_ups import ANSWERED_FOR
from member.errors import (
    AlreadyExistsError,
    LinkReplacedError,
    LinkUnknownError,
    MailPointlessError,
)
from member.mailer import Mailer
from member.metrics import Metrics
from member.service import MemberService
from member.service.housekeeping import Housekeeping
from member.store.database import Database
from member.store.tables import MemberRow, SessionRow, SignUpRow, VerificationRow
from member.worker.processor import RedisTaskProcessor
from member.worker.schedule import periodic_tasks
from member.worker.tasks import QUEUE_DEFAULT, TASK_PURGE_EXPIRED
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    BOB,
    RULES,
    FakeClock,
    MailFolder,
    log_in_as,
    sign_up_verified,
    token_of,
)
from tests.support.clocks import SteeredClock
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

MOMENT = timedelta(microseconds=1)
WEEK = timedelta(days=7)


@pytest.fixture
def housekeeping(db: Database, clock: FakeClock) -> Housekeeping:
    return Housekeeping(database=db, unverified_lifetime=WEEK, clock=clock)


async def count(db: Database, key: InstrumentedAttribute[object]) -> int:
    async with db.reading() as session:
        return len((await session.scalars(select(key))).all())


async def test_an_expired_session_is_removed_and_no_other(
    service: MemberService, housekeeping: Housekeeping, db: Database, clock: FakeClock
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    await log_in_as(service, ALICE)
    clock.turn(MOMENT)
    await log_in_as(service, ALICE)
    clock.turn(RULES.refresh_lifetime - MOMENT)
    await housekeeping.purge()
    assert await count(db, SessionRow.id) == 1


async def test_a_sign_up_is_answered_again_for_a_day_and_then_forgotten(
    service: MemberService, housekeeping: Housekeeping, db: Database, clock: FakeClock
) -> None:
    first = await service.sign_up.create_member(ANYBODY, ALICE, "id")
    clock.turn(ANSWERED_FOR)
    await housekeeping.purge()
    assert await service.sign_up.create_member(ANYBODY, ALICE, "id") == first
    clock.turn(MOMENT)
    await housekeeping.purge()
    assert await count(db, SignUpRow.request_id) == 0
    assert await count(db, MemberRow.id) == 1


async def test_a_replaced_link_says_so_for_a_month(
    service: MemberService,
    mailer: Mailer,
    outbox: MailFolder,
    housekeeping: Housekeeping,
    clock: FakeClock,
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    await mailer.send_verify_email("alice")
    await service.verifications.resend(ANYBODY, ALICE.email)
    await mailer.send_verify_email("alice")
    await service.verifications.verify(ANYBODY, token_of(outbox.mails[1]))
    clock.turn(timedelta(days=30))
    await housekeeping.purge()
    with pytest.raises(LinkReplacedError):
        await service.verifications.verify(ANYBODY, token_of(outbox.mails[0]))
    clock.turn(MOMENT)
    await housekeeping.purge()
    with pytest.raises(LinkUnknownError):
        await service.verifications.verify(ANYBODY, token_of(outbox.mails[0]))


async def test_a_link_that_verified_is_kept(
    service: MemberService,
    mailer: Mailer,
    outbox: MailFolder,
    housekeeping: Housekeeping,
    clock: FakeClock,
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    await mailer.send_verify_email("alice")
    token = token_of(outbox.mails[0])
    await service.verifications.verify(ANYBODY, token)
    clock.turn(timedelta(days=1000))
    await housekeeping.purge()
    assert (await service.verifications.verify(ANYBODY, token)).already


async def test_a_member_that_does_not_verify_keeps_an_address_for_a_week(
    service: MemberService, housekeeping: Housekeeping, clock: FakeClock
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    owner = replace(BOB, email=ALICE.email)
    clock.turn(WEEK)
    await housekeeping.purge()
    with pytest.raises(AlreadyExistsError):
        await service.sign_up.create_member(ANYBODY, owner)
    clock.turn(MOMENT)
    await housekeeping.purge()
    assert (await service.sign_up.create_member(ANYBODY, owner)).email == ALICE.email


async def test_the_data_of_a_removed_member_are_deleted_and_its_link_leads_nowhere(
    service: MemberService,
    mailer: Mailer,
    outbox: MailFolder,
    housekeeping: Housekeeping,
    db: Database,
    clock: FakeClock,
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE, "id")
    await log_in_as(service, ALICE)
    await mailer.send_verify_email("alice")
    clock.turn(WEEK + MOMENT)
    await housekeeping.purge()
    keys = (MemberRow.id, SessionRow.id, SignUpRow.request_id, VerificationRow.id)
    assert [await count(db, key) for key in keys] == [0, 0, 0, 0]
    with pytest.raises(LinkUnknownError):
        await service.verifications.verify(ANYBODY, token_of(outbox.mails[0]))
    with pytest.raises(MailPointlessError):
        await mailer.send_verify_email("alice")


async def test_a_member_that_has_verified_is_not_removed(
    service: MemberService,
    mailer: Mailer,
    outbox: MailFolder,
    housekeeping: Housekeeping,
    db: Database,
    clock: FakeClock,
) -> None:
    await sign_up_verified(service, mailer, outbox, ALICE)
    clock.turn(timedelta(days=1000))
    await housekeeping.purge()
    assert await count(db, MemberRow.id) == 1


async def test_an_administrator_is_not_removed(
    service: MemberService, housekeeping: Housekeeping, db: Database, clock: FakeClock
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    async with db.writing() as session:
        await store.members.set_role(session, "alice", "admin")
    clock.turn(timedelta(days=1000))
    await housekeeping.purge()
    assert await count(db, MemberRow.id) == 1


async def test_nothing_to_remove_is_no_error(housekeeping: Housekeeping) -> None:
    await housekeeping.purge()
    await housekeeping.purge()


async def pending(redis: RedisServer) -> list[str]:
    """Return the types of the waiting tasks in the default queue."""
    async with pyasynq.Inspector(redis.url) as inspector:
        try:
            tasks = await inspector.list_tasks(QUEUE_DEFAULT, pyasynq.TaskState.PENDING)
        except pyasynq.QueueNotFoundError:
            return []
    return [task.type for task in tasks]


async def is_so(found: Awaitable[object], wanted: object) -> bool:
    return await found == wanted


@pytest.mark.parametrize("db_source", ["sqlite"], indirect=True)
async def test_a_worker_does_the_task(
    redis: RedisServer,
    service: MemberService,
    mailer: Mailer,
    housekeeping: Housekeeping,
    db: Database,
    clock: FakeClock,
) -> None:
    await service.sign_up.create_member(ANYBODY, ALICE)
    await log_in_as(service, ALICE)
    clock.turn(RULES.refresh_lifetime)
    async with pyasynq.Client(redis.url) as client:
        server = pyasynq.Server(redis.url, queues={QUEUE_DEFAULT: 1})
        await client.enqueue(pyasynq.Task(TASK_PURGE_EXPIRED, queue=QUEUE_DEFAULT))
        async with RedisTaskProcessor(server, mailer, housekeeping, Metrics()).running():
            await wait_until(lambda: is_so(count(db, SessionRow.id), 0))


async def ready(redis: RedisServer) -> int:
    """Return the number of schedulers that know their next tick."""
    async with pyasynq.Inspector(redis.url) as inspector:
        return sum(entry.next is not None for entry in await inspector.scheduler_entries())


async def test_of_several_schedulers_one_enqueues_the_task_each_hour(redis: RedisServer) -> None:
    clock = SteeredClock()
    one, two = (periodic_tasks(redis.url, clock=clock) for _ in range(2))
    async with one.running(), two.running():
        await wait_until(lambda: is_so(ready(redis), 2))
        clock.advance(minutes=59)
        assert await pending(redis) == []
        clock.advance(minutes=1)
        await wait_until(lambda: is_so(pending(redis), [TASK_PURGE_EXPIRED]))
        clock.advance(hours=1)
        await wait_until(lambda: is_so(pending(redis), [TASK_PURGE_EXPIRED] * 2))
    assert await pending(redis) == [TASK_PURGE_EXPIRED] * 2
