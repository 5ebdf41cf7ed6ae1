"""Remove what nobody can use any more."""

from dataclasses import dataclass
from datetime import timedelta

from member import store
from member.clock import Clock, utc_now
from member.signing_up import ANSWERED_FOR
from member.store.database import Database

# Until then a link still says that a newer mail replaced it.
_REPLACED_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """Keeps the tables from growing without end."""

    database: Database
    clock: Clock = utc_now

    async def purge(self) -> None:
        """Remove expired sessions, sign-ups that are not answered again, and old void links."""
        now = self.clock()
        async with self.database.writing() as session:
            await store.sessions.end_expired(session, now=now)
            await store.sign_ups.forget(session, before=now - ANSWERED_FOR)
            await store.verifications.forget_replaced(session, before=now - _REPLACED_KEPT)
