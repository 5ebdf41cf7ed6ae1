"""Tokens that all machines share."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Token(msgspec.Struct, kw_only=True):
    """One token of a semaphore.

    Attributes:
        scope: Name of the semaphore.
        holder: Id of its holder, unique within the semaphore.
        deadline_s: Unix second after which the holder no longer needs it; 0 for none.
        ends_s: Unix second at which it ends unless it is renewed; 0 if not taken yet, or lost.
    """

    scope: str
    holder: str
    deadline_s: int = 0
    ends_s: int = 0


class SemaphorePort(Protocol):
    """Tokens that all machines share."""

    async def acquire(self, token: Token, *, limit: int, lease_s: float) -> bool:
        """Take *token* if its holder has it or fewer than *limit* are taken; set its end."""
        ...

    async def renew(self, tokens: Sequence[Token], *, lease_s: float) -> list[Token]:
        """Renew *tokens*, all of one scope, in place; return those that are lost."""
        ...

    async def release(self, token: Token) -> bool:
        """Release *token*; False if it is no longer held."""
        ...
