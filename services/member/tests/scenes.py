"""The members with whom many tests begin, who need to sign up only once in a test process.

A sign-up, its mail, its link and a log-in take ten transactions, and are the subject of some tests
only. The first test with a scene acts it out; later ones get the rows, mails and tasks that were
left. Every test gets only those: nothing that the scene logged or counted.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from member import mailer as mailers
from member.callers import Caller
from member.mail.letters import Letters
from member.mailer import Mailer
from member.passwords import Passwords
from member.service import Dependencies, MemberService, member_service
from member.store.database import Database
from member.store.tables import Table
from services.member.tests.doubles import (
    ALICE,
    ANYBODY,
    BOB,
    RULES,
    UNLIMITED,
    FakeClock,
    MailFolder,
    TaskList,
    log_in_as,
    sign_up_verified,
    token_of,
)

Result = TypeVar("Result")
Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = Mapping[sqlalchemy.Table, Sequence[Row]]


def mailer_of(db: Database, outbox: MailFolder, clock: FakeClock) -> Mailer:
    """Return a mailer whose links open the service of the tests."""
    return Mailer(
        database=db,
        letters=Letters(
            sender_name="Service",
            sender_address="service@example.com",
            public_url="http://members.example.com",
        ),
        transport=outbox,
        verifications=mailers.verifications(b"key", timedelta(minutes=15)),
        password_resets=mailers.password_resets(b"key", timedelta(minutes=15)),
        clock=clock,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A service on the database of the test, with doubles of its own."""

    service: MemberService
    mailer: Mailer
    outbox: MailFolder
    tasks: TaskList
    db: Database


Scene: TypeAlias = Callable[[Stage], Awaitable[Result]]
"""Adds members to the database, changes none that are there, and returns what the test needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a scene left."""

    result: Any
    rows: Rows
    outbox: MailFolder
    tasks: TaskList


Recordings: TypeAlias = dict[object, Recording]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """Plays scenes before the database and the doubles of one test."""

    recordings: Recordings
    db: Database
    passwords: Passwords
    clock: FakeClock
    outbox: MailFolder
    tasks: TaskList

    async def play(self, scene: Scene[Result]) -> Result:
        """Leave what *scene* leaves; return what it returns."""
        key = (scene, self.db.engine.dialect.name, self.clock.now)
        recording = self.recordings.get(key)
        if recording:
            await _write(self.db.engine, recording.rows)
        else:
            recording = self.recordings[key] = await self._record(scene)
        self.outbox.mails += recording.outbox.mails
        self.tasks.tasks += recording.tasks.tasks
        self.tasks.resets += recording.tasks.resets
        self.tasks.notices += recording.tasks.notices
        return recording.result

    async def _record(self, scene: Scene[Any]) -> Recording:
        stage, before = self._stage(), await _read(self.db.engine)
        with capture_logs():
            result = await scene(stage)
        added = _added(before, await _read(self.db.engine))
        return Recording(result=result, rows=added, outbox=stage.outbox, tasks=stage.tasks)

    def _stage(self) -> Stage:
        outbox, tasks = MailFolder(), TaskList()
        needs = Dependencies(
            database=self.db,
            passwords=self.passwords,
            distributor=tasks,
            limits=UNLIMITED,
            clock=self.clock,
        )
        return Stage(
            service=member_service(needs, RULES),
            mailer=mailer_of(self.db, outbox, self.clock),
            outbox=outbox,
            tasks=tasks,
            db=self.db,
        )


async def _read(engine: AsyncEngine) -> Rows:
    async with engine.connect() as connection:
        return {
            table: [dict(row) for row in (await connection.execute(table.select())).mappings()]
            for table in Table.metadata.sorted_tables
        }


async def _write(engine: AsyncEngine, rows: Rows) -> None:
    async with engine.begin() as connection:
        for table, added in rows.items():
            await connection.execute(table.insert(), added)


def _added(before: Rows, after: Rows) -> Rows:
    """Return the new rows of tables that have some."""
    for table, rows in before.items():
        assert [row for row in rows if row not in after[table]] == [], "a scene must only add rows"
    added = {table: [row for row in after[table] if row not in before[table]] for table in after}
    return {table: rows for table, rows in added.items() if rows}


async def alice_and_bob(stage: Stage) -> None:
    """Alice and Bob have signed up."""
    await stage.service.sign_up.create_member(ANYBODY, ALICE)
    await stage.service.sign_up.create_member(ANYBODY, BOB)


async def mailed_alice(stage: Stage) -> str:
    """Alice has signed up and got her mail; return the token in it."""
    await stage.service.sign_up.create_member(ANYBODY, ALICE)
    await stage.mailer.send_verify_email("alice")
    return token_of(stage.outbox.mails[-1])


async def alice_in_a_session(stage: Stage) -> Caller:
    """Alice has signed up and logged in."""
    await stage.service.sign_up.create_member(ANYBODY, ALICE)
    return await log_in_as(stage.service, ALICE)


async def verified_alice(stage: Stage) -> Caller:
    """Alice, whose address is verified, in a session."""
    return await sign_up_verified(stage.service, stage.mailer, stage.outbox, ALICE)
