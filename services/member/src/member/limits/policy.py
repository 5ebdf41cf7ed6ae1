"""Which calls are limited, and how they are counted.

Each setting says how often one person at one place may do something. The service knows a person by
IP address, by account, or by both, and each of these alone is wrong for somebody:

- A whole school may share one IP address. So limits by address alone are ten times the setting, for
  calls that a school makes in a morning. Sign-ups are counted exactly by the setting: a school
  that signs up together needs a higher one.
- A dictionary attack tries one account from many addresses. So wrong passwords of an account are
  counted from all addresses together (``guess:stranger``): tens in an hour, and fewer after that.
- An attacker that empties that bucket would lock the member out. So an address from which the
  member has logged in before has its own bucket for this account (``guess:known``), and so have
  the sessions of the member, for calls that need the password (``guess:inside``). From any other
  address the member of an attacked account gets in by a link in a mail, and that address is known
  from then on. A renewal takes no such tokens, so open sessions stay open.
- A right password was no guess: its tokens are given back.

Mails to verify an address are counted by that address, exactly by the setting and for all callers
together: its owner must not get more mails than that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias
from uuid import UUID

from member.limits.buckets import Bucket, Limiter
from member.limits.keys import address_key, typed_key
from member.limits.rate import Rate

_SHARED = 10
_ATTACKED = 3

Guesser: TypeAlias = Literal["stranger", "known", "inside"]
"""The sender of a password: any caller, one at a known address of the member, one logged in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often one person may do something; None: no limit."""

    create_member: Rate | None
    log_in: Rate | None
    verify_email: Rate | None
    resend: Rate | None
    guess: Rate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Factors of the setting's rate for one kind of call; 0: not counted.

    Attributes:
        address: For calls from one IP address, about any account.
        account: For calls about one account, from any IP address.
        pair: For calls about one account from one IP address.
    """

    address: int = 0
    account: int = 0
    pair: int = 0


ALLOWANCES: Mapping[str, Allowance] = MappingProxyType(
    {
        "create": Allowance(address=1, account=_ATTACKED),
        "login": Allowance(address=_SHARED, pair=1),
        "password": Allowance(address=_SHARED, pair=1),
        "renew": Allowance(address=_SHARED),
        "verify": Allowance(address=1, account=1),
        "resend": Allowance(address=_SHARED, account=1),
        "request_reset": Allowance(address=_SHARED, account=1),
        "reset": Allowance(address=1, account=1),
    }
)


def buckets(call: str, rate: Rate | None, address: str, account: str = "") -> tuple[Bucket, ...]:
    """Return the buckets from which a call takes tokens; none without a *rate*.

    Args:
        call: A row of `ALLOWANCES`.
        rate: The rate of its setting.
        address: IP address of the caller.
        account: The account that the call is about, as the caller typed it; empty if unknown.
    """
    if rate is None:
        return ()
    allowance, place, who = ALLOWANCES[call], address_key(address), typed_key(account)
    counted = [("address", place, allowance.address)]
    if account:
        counted += [("account", who, allowance.account), ("pair", f"{place}:{who}", allowance.pair)]
    return tuple(
        Bucket(name=f"{call}:{by}", key=key, rate=rate.times(factor))
        for by, key, factor in counted
        if factor
    )


def guess_buckets(
    by: Guesser, rate: Rate | None, address: str, membername: str
) -> tuple[Bucket, ...]:
    """Return the buckets from which a guess takes tokens; none without a *rate*.

    Each guesser has two, so that waits grow. With a rate of 20/1h: after 20 guesses one every three
    minutes, and after 100 in a day one every quarter of an hour.
    """
    if rate is None:
        return ()
    who = typed_key(membername)
    key = f"{address_key(address)}:{who}" if by == "known" else who
    return (
        Bucket(name=f"guess:{by}", key=key, rate=rate),
        Bucket(name=f"guess:{by}:long", key=key, rate=rate.in_the_long_run()),
    )


class Limits:
    """Takes tokens from a limiter before each limited call.

    Each method raises `LimitedError` if the call comes too often.
    """

    def __init__(self, limiter: Limiter, rates: Rates) -> None:
        """Limit calls to *rates*."""
        self._limiter = limiter
        self._rates = rates

    async def create_member(self, address: str, email: str) -> None:
        """Take the tokens for a sign-up, or for a member's change to another address."""
        await self._take("create", self._rates.create_member, address, email)

    async def log_in(self, address: str, membername: str) -> None:
        """Take the tokens for a log-in, with a right or a wrong password; see also `guess`."""
        await self._take("login", self._rates.log_in, address, membername)

    async def change_password(self, address: str, membername: str) -> None:
        """Take the tokens for a password change; see also `guess`."""
        await self._take("password", self._rates.log_in, address, membername)

    async def guess(self, by: Guesser, address: str, membername: str) -> tuple[Bucket, ...]:
        """Take the tokens for a wrong password; return their buckets, for `undo_guess`."""
        taken = guess_buckets(by, self._rates.guess, address, membername)
        await self._limiter.take(*taken)
        return taken

    async def undo_guess(self, taken: tuple[Bucket, ...]) -> None:
        """Give back the tokens that `guess` took, if the password was right or was not checked."""
        await self._limiter.give_back(*taken)

    async def renew(self, address: str) -> None:
        """Take the token for a new access token."""
        await self._take("renew", self._rates.log_in, address)

    async def verify_email(self, address: str, token_id: UUID | None) -> None:
        """Take the tokens for a try of a link; *token_id* is None for a malformed token."""
        await self._take("verify", self._rates.verify_email, address, str(token_id or ""))

    async def resend(self, address: str, email: str) -> None:
        """Take the tokens for another verification mail."""
        await self._take("resend", self._rates.resend, address, email)

    async def request_reset(self, address: str, email: str) -> None:
        """Take the tokens for a mail with a link that sets a new password."""
        await self._take("request_reset", self._rates.resend, address, email)

    async def reset_password(self, address: str, token_id: UUID | None) -> None:
        """Take the tokens for a try of that link; *token_id* is None for a malformed token."""
        await self._take("reset", self._rates.verify_email, address, str(token_id or ""))

    async def _take(self, call: str, rate: Rate | None, address: str, account: str = "") -> None:
        await self._limiter.take(*buckets(call, rate, address, account))
