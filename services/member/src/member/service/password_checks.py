"""Compare passwords with those of members, and so slowly that nobody guesses one."""

from dataclasses import dataclass

from member import audit, store
from member.callers import Caller
from member.errors import LimitedError
from member.limits import Guesser, Limits
from member.limits.keys import address_key
from member.members import Credentials
from member.passwords import Passwords
from member.store.database import Database
from member.validation import is_membername, normalized_password


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChecks:
    """Every comparison of a password with that of a member goes through here, and is counted."""

    database: Database
    passwords: Passwords
    limits: Limits

    async def from_outside(
        self, caller: Caller, membername: str, password: str
    ) -> Credentials | None:
        """Return the member who has this password, or None.

        Whether the member is not there or the password wrong looks alike and takes alike long.

        Raises:
            LimitedError: If there were too many wrong ones, from wherever they came.
        """
        found = await self._found(caller, membername)
        if found:
            audit.tell_member(found.member)  # never what was typed: it may be a password
        by: Guesser = "known" if found and found.is_at_known_place else "stranger"
        fits = await self._fits(by, caller, membername, password, found)
        return found if fits else None

    async def from_inside(
        self, caller: Caller, membername: str, password: str
    ) -> Credentials | None:
        """Return the member, who is logged in, if this is the member's password; else None.

        Raises:
            LimitedError: If there were too many wrong ones from members who are logged in.
        """
        found = await self._found(caller, membername)
        fits = await self._fits("inside", caller, membername, password, found)
        return found if fits else None

    async def _found(self, caller: Caller, membername: str) -> Credentials | None:
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
        # Taken before and given back after: of many at the same time, none comes for nothing.
        taken = await self.limits.guess(by, caller.address, membername)
        try:
            fits = await self.passwords.fits(
                normalized_password(password),
                found and found.password_hash,
                address=caller.address,
            )
        except LimitedError:
            await self.limits.was_no_guess(taken)
            raise
        if fits:
            await self.limits.was_no_guess(taken)
        return fits
