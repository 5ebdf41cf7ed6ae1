"""Remove expired data."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from member import audit, store
from member.answered_sign_ups import ANSWERED_FOR
from member.clock import Clock, utc_now
from member.store.database import Database

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# During this time the page of a link says that a newer mail replaced it.
_KEEP_REPLACED = timedelta(days=30)

_KEEP_PLACES = timedelta(days=90)

# Long after the last retry; archived tasks, too, are kept no longer.
_KEEP_NOTICES = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """Removes expired rows, so that tables do not grow without limit.

    Attributes:
        unverified_lifetime: How long a member may be without a verified address. After that the
            address is free again, so nobody can block an address of somebody else for longer.
    """

    database: Database
    unverified_lifetime: timedelta
    clock: Clock = utc_now

    async def purge(self) -> None:
        """Remove expired rows from every table, and members who never verified an address."""
        now = self.clock()
        async with self.database.writing() as session:
            await store.sessions.end_expired(session, now=now)
            await store.sign_ups.forget(session, before=now - ANSWERED_FOR)
            await store.verifications.forget_replaced(session, before=now - _KEEP_REPLACED)
            await store.password_resets.forget_replaced(session, before=now - _KEEP_REPLACED)
            await store.places.forget(session, before=now - _KEEP_PLACES)
            await store.notices.forget(session, before=now - _KEEP_NOTICES)
            unverified = await store.members.delete_unverified(
                session, before=now - self.unverified_lifetime
            )
            await store.outbox.forget(session, {member.membername for member in unverified})
        audit.record_purges(unverified)
        log.info("purged expired data", unverified_members=len(unverified))
