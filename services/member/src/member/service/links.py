"""Find the links that tokens name, and report why one is not valid."""

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
class CheckedLink(Generic[LinkT]):
    """The link that a token names, or None, and the link's standing."""

    standing: Standing
    link: LinkT | None = None

    async def owner(self, session: AsyncSession) -> Member | None:
        """Return the member that the link was sent to; None without a link or a member."""
        member = self.link and await store.members.by_id(session, self.link.member_id)
        if member:
            audit.note_member(member)
        return member

    def check(self, owner: Member | None, *good: Standing) -> Member:
        """Return the *owner* of the link if its standing is one of *good*.

        Raises:
            LinkError: If it is not; the subclass says why.
        """
        if self.standing not in good:
            raise ERRORS[self.standing]
        if owner is None:  # deleted, and the link with it
            raise LinkUnknownError
        return owner


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChecks(Generic[LinkT]):
    """Checks links of one kind, and counts wrong tokens.

    Attributes:
        max_wrong: Number of wrong tokens that locks a link.
    """

    stored: Links[LinkT]
    max_wrong: int
    clock: Clock

    async def read(self, session: AsyncSession, token: str) -> CheckedLink[LinkT]:
        """Return the link that *token* names, and its standing; change nothing."""
        return self._judge(token, await self._find(session, token))

    async def follow(self, session: AsyncSession, token: str) -> CheckedLink[LinkT]:
        """Lock and return the link that *token* names, with its standing; count a wrong token.

        The count is stored only with the commit, so the caller must refuse the token after that.
        """
        found = self._judge(token, await self._find(session, token, lock=True))
        if found.link and found.standing is Standing.WRONG:
            await self.stored.count_wrong_attempt(session, found.link.id)
        return found

    async def _find(self, session: AsyncSession, token: str, *, lock: bool = False) -> LinkT | None:
        claimed = link_id(token)
        return claimed and await self.stored.by_id(session, claimed, lock=lock)

    def _judge(self, token: str, link: LinkT | None) -> CheckedLink[LinkT]:
        if link is None:
            return CheckedLink(Standing.WRONG)
        now, hashed = self.clock(), fingerprint(token)
        return CheckedLink(standing(link, hashed, now=now, max_wrong=self.max_wrong), link)
