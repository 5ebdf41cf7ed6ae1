"""All that stands around the program while it is broken, and what is left in it."""

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
from services.member.tests.faults.crowd import LetterBoxes, verified
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
        """Let the tasks of a dead worker be taken for dead at once, not after 30 seconds."""
        async with Redis.from_url(self.redis.url) as r:
            await RedisQueue(r, QUEUE_CRITICAL).end_leases()

    async def calm(self, names: Iterable[str]) -> None:
        """Return when each of *names* has a mail, and nothing is left to be done."""
        missing = set(names)

        def all_have_mail() -> bool:
            missing.difference_update(self.boxes.letters)
            return not missing

        async with database.opened(self.db_source) as db, Inspector(self.redis.url) as inspector:

            async def all_is_done() -> bool:
                tasks = await _tasks(inspector)  # first, to hurry those that failed
                return all_have_mail() and tasks == await _rows(db) == 0

            await wait_until(all_is_done, PATIENCE_S)

    async def members(self) -> set[str]:
        """Return the names of all members."""
        async with database.opened(self.db_source) as db, db.reading() as session:
            return set(await session.scalars(select(MemberRow.membername)))

    async def rows(self) -> int:
        """Return how many tasks the outbox holds."""
        async with database.opened(self.db_source) as db:
            return await _rows(db)

    async def verified(self, address: str) -> set[str]:
        """Return whom the links in the mails verify; each is used once."""
        return set(await verified(address, self.boxes.tokens().values()))


async def _rows(db: Database) -> int:
    async with db.reading() as session:
        return await session.scalar(select(func.count()).select_from(OUTBOX.table)) or 0


async def _tasks(inspector: Inspector) -> int:
    """Return how many tasks Redis holds; those that failed run now, not in 15 s or more."""
    try:
        await inspector.run_all(QUEUE_CRITICAL, "retry")
        return (await inspector.queue_info(QUEUE_CRITICAL, memory=False)).size
    except QueueNotFoundError:  # it becomes known with its first task, or the worker's next beat
        return 0
