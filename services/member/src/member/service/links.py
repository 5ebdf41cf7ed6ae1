"""Follow links in mails, and say why one leads nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic

from sqlalchemy.ext.asyncio import AsyncSession

from member import audit, store
from member.clock import Clock
from member.errors import (
    LinkError,
    LinkExpiredError,
    LinkLockedError,
    LinkReplacedError,
    LinkUnknownError,
    LinkUsedError,
)
from member.members import Member
from member.store.links import Links, LinkT
from member.tokens import fingerprint, link_id
from member.verification import Standing, standing

ERRORS: Mapping[Standing, type[LinkError]] = {
    Standing.WRONG: LinkUnknownError,
    Standing.USED: LinkUsedError,
    Standing.LOCKED: LinkLockedError,
    Standing.REPLACED: LinkReplacedError,
    Standing.EXPIRED: LinkExpiredError,
}


@dataclass(frozen=True, slots=True)
class Followed(Generic[LinkT]):
    """What a token led to; no link where it led nowhere."""

    standing: Standing
    link: LinkT | None = None

    async def owner(self, session: AsyncSession) -> Member | None:
        """Return whose link it is; None where there is none, or the member is gone."""
        member = self.link and await store.members.by_id(session, self.link.member_id)
        if member:
            audit.tell_member(member)
        return member

    def check(self, owner: Member | None, *good: Standing) -> Member:
        """Return the *owner* of a link that is worth one of *good*.

        Raises:
            LinkError: If it is not; its leaves say why.
        """
        if self.standing not in good:
            raise ERRORS[self.standing]
        if owner is None:  # deleted, and the link with it
            raise LinkUnknownError
        return owner


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChecks(Generic[LinkT]):
    """Tells what links of one kind are worth, and counts who guesses them.

    Attributes:
        max_wrong: Wrong tokens after which a link is locked.
    """

    stored: Links[LinkT]
    max_wrong: int
    clock: Clock

    async def look(self, session: AsyncSession, token: str) -> Followed[LinkT]:
        """Return what *token* leads to; change nothing."""
        return self._followed(token, await self._claimed(session, token))

    async def follow(self, session: AsyncSession, token: str) -> Followed[LinkT]:
        """Return what *token* leads to, its link locked; count a wrong token.

        It stays counted only if the transaction is committed: refuse after that.
        """
        found = self._followed(token, await self._claimed(session, token, lock=True))
        if found.link and found.standing is Standing.WRONG:
            await self.stored.count_wrong_attempt(session, found.link.id)
        return found

    async def _claimed(
        self, session: AsyncSession, token: str, *, lock: bool = False
    ) -> LinkT | None:
        claimed = link_id(token)
        return claimed and await self.stored.by_id(session, claimed, lock=lock)

    def _followed(self, token: str, link: LinkT | None) -> Followed[LinkT]:
        if link is None:
            return Followed(Standing.WRONG)
        now, hashed = self.clock(), fingerprint(token)
        return Followed(standing(link, hashed, now=now, max_wrong=self.max_wrong), link)
