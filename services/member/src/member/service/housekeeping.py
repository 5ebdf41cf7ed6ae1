"""Remove what nobody can use any more."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from member import audit, store
from member.clock import Clock, utc_now
from member.signing_up import ANSWERED_FOR
from member.store.database import Database

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# Until then a link still says that a newer mail replaced it.
_REPLACED_KEPT = timedelta(days=30)

_PLACES_KEPT = timedelta(days=90)

# Long after the last retry, in the archive too.
_NOTICES_KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """Keeps the tables from growing without end.

    Attributes:
        unverified_lifetime: How long a member may be without a verified address. Then the address
            is free again: whoever signed up with that of somebody else does not keep it.
    """

    database: Database
    unverified_lifetime: timedelta
    clock: Clock = utc_now

    async def purge(self) -> None:
        """Remove what has expired in every table, and members who never verified an address."""
        now = self.clock()
        async with self.database.writing() as session:
            await store.sessions.end_expired(session, now=now)
            await store.sign_ups.forget(session, before=now - ANSWERED_FOR)
            await store.verifications.forget_replaced(session, before=now - _REPLACED_KEPT)
            await store.password_resets.forget_replaced(session, before=now - _REPLACED_KEPT)
            await store.places.forget(session, before=now - _PLACES_KEPT)
            await store.notices.forget(session, before=now - _NOTICES_KEPT)
            unverified = await store.members.delete_unverified(
                session, before=now - self.unverified_lifetime
            )
            await store.outbox.forget(session, {member.membername for member in unverified})
        audit.tell_purged(unverified)
        log.info("purged what has expired", unverified_members=len(unverified))
