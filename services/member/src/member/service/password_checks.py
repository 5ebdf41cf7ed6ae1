"""Check the passwords of members, slowly enough that nobody can guess one."""

from dataclasses import dataclass

from member import audit, store
from member.callers import Caller
from member.errors import LimitedError
from member.limits import Guesser, Limits
from member.limits.keys import address_key
from member.members import Credentials
from member.passwords import Passwords
from member.store.database import Database
from member.validation import is_membername, normalize_password


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChecks:
    """Makes and counts every comparison of a password with that of a member."""

    database: Database
    passwords: Passwords
    limits: Limits

    async def from_outside(
        self, caller: Caller, membername: str, password: str
    ) -> Credentials | None:
        """Return the member if this is its password, else None.

        An unknown member and a wrong password have the same answer and take the same time.

        Raises:
            LimitedError: If there were too many wrong passwords, from all addresses together.
        """
        found = await self._find(caller, membername)
        if found:
            audit.note_member(found.member)  # never the typed name: it may be a password
        by: Guesser = "known" if found and found.is_at_known_place else "stranger"
        fits = await self._fits(by, caller, membername, password, found)
        return found if fits else None

    async def from_inside(
        self, caller: Caller, membername: str, password: str
    ) -> Credentials | None:
        """Return the member, who is logged in, if this is its password; else None.

        Raises:
            LimitedError: If there were too many wrong passwords from sessions of this member.
        """
        found = await self._find(caller, membername)
        fits = await self._fits("inside", caller, membername, password, found)
        return found if fits else None

    async def _find(self, caller: Caller, membername: str) -> Credentials | None:
        if not is_membername(membername):
            return None
        async with self.database.reading() as session:
            place = address_key(caller.address)
            return await store.members.credentials(session, membername, place=place)

    async def _fits(
        self,
        by: Guesser,
        caller: Caller,
        membername: str,
        password: str,
        found: Credentials | None,
    ) -> bool:
        # Taken before the check and given back after it, so that guesses at the same time count.
        taken = await self.limits.guess(by, caller.address, membername)
        try:
            fits = await self.passwords.fits(
                normalize_password(password),
                found and found.password_hash,
                address=caller.address,
            )
        except LimitedError:
            await self.limits.undo_guess(taken)
            raise
        if fits:
            await self.limits.undo_guess(taken)
        return fits
