"""The surroundings of the program while a test breaks it, and checks of what they hold then."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis
from sqlalchemy import func, select

from member.store import database
from member.store.database import Database
from member.store.tables import OUTBOX, MemberRow
from member.worker.tasks import QUEUE_CRITICAL
from pyasynq import Inspector, QueueNotFoundError
from services.member.tests.faults.crowd import LetterBoxes, verify_all
from tests.support.queue_view import RedisQueue
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until

PATIENCE_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The servers, and the folder that the program runs in."""

    folder: Path
    db_source: str
    redis: RedisServer
    boxes: LetterBoxes
    variables: dict[str, str] = field(repr=False)

    async def end_leases(self) -> None:
        """End the leases of a dead worker now, not after 30 seconds."""
        async with Redis.from_url(self.redis.url) as r:
            await RedisQueue(r, QUEUE_CRITICAL).end_leases()

    async def wait_until_done(self, names: Iterable[str]) -> None:
        """Return when each of *names* has a mail, and no task is left."""
        missing = set(names)

        def all_have_mail() -> bool:
            missing.difference_update(self.boxes.letters)
            return not missing

        async with (
            database.open_database(self.db_source) as db,
            Inspector(self.redis.url) as inspector,
        ):

            async def all_is_done() -> bool:
                tasks = await _tasks(inspector)  # first, because it also runs failed tasks
                return all_have_mail() and tasks == await _rows(db) == 0

            await wait_until(all_is_done, PATIENCE_S)

    async def members(self) -> set[str]:
        """Return the names of all members."""
        async with database.open_database(self.db_source) as db, db.reading() as session:
            return set(await session.scalars(select(MemberRow.membername)))

    async def rows(self) -> int:
        """Return the number of tasks in the outbox."""
        async with database.open_database(self.db_source) as db:
            return await _rows(db)

    async def verify_all(self, address: str) -> set[str]:
        """Use the link of each name's first mail once; return the names that they verify."""
        return set(await verify_all(address, self.boxes.tokens().values()))


async def _rows(db: Database) -> int:
    async with db.reading() as session:
        return await session.scalar(select(func.count()).select_from(OUTBOX.table)) or 0


async def _tasks(inspector: Inspector) -> int:
    """Return the number of tasks in Redis; run failed ones now, not in 15 s or more."""
    try:
        await inspector.run_all(QUEUE_CRITICAL, "retry")
        return (await inspector.queue_info(QUEUE_CRITICAL, memory=False)).size
    except QueueNotFoundError:  # a queue exists from its first task or the worker's heartbeat on
        return 0
