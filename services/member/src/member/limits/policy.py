"""Which calls are limited, and by whom they are counted.

Each setting says how often one person at one place may do something. That person is known by
address, by account, or by both, and each of these alone is wrong for somebody:

- Behind one address may be a school. So what is counted by address alone, of calls that a whole
  school makes in a morning, is ten times the setting. Sign-ups are counted as the setting says:
  a school that signs up together needs a higher one.
- A dictionary attack tries one account from many addresses. So wrong passwords of an account are
  counted from all addresses together, tens an hour (``guess:stranger``), and fewer after a while.
- Whoever empties that bucket would lock the member out. So an address from which the member has
  logged in before has a bucket of its own for this account (``guess:known``), and so has who is
  logged in and is asked for the password (``guess:inside``). From anywhere else a member whose
  account is attacked gets in by a link in a mail, and the address is known from then on. Renewing
  takes no such tokens, so sessions that are open stay open.
- A password that was right was no guess: its tokens are given back.

A mail to verify an address is counted as the setting says by that address, from wherever it is
asked for: its owner has had that many mails, and must be spared more.
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
"""Who says a password: anybody, somebody at a place of the member's, somebody who is logged in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often one person may do something; None is without limit."""

    create_member: Rate | None
    log_in: Rate | None
    verify_email: Rate | None
    resend: Rate | None
    guess: Rate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How many times the rate of its setting a call may take; 0 where it is not counted.

    Attributes:
        address: From one address, about whatever account.
        account: About one account, from whatever address.
        pair: About one account from one address.
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
    """Return the buckets that a call takes a token of; none without a *rate*.

    Args:
        call: A row of `ALLOWANCES`.
        rate: What its setting says.
        address: IP address of the caller.
        account: Whom the call is about, as it was typed; empty if nobody knows.
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
    """Return the buckets that a guess takes a token of; none without a *rate*.

    Two for each guesser, so that waits grow: one every few minutes after the first guesses, and
    one every quarter of an hour after those of a day, where the rate is 20/1h.
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
    """Asks a limiter before each call that is limited.

    Each method raises `LimitedError` if the call comes too often.
    """

    def __init__(self, limiter: Limiter, rates: Rates) -> None:
        """Limit calls to *rates*."""
        self._limiter = limiter
        self._rates = rates

    async def create_member(self, address: str, email: str) -> None:
        """Take what a sign-up costs, or a member's change to another address."""
        await self._take("create", self._rates.create_member, address, email)

    async def log_in(self, address: str, membername: str) -> None:
        """Take what a log-in costs, whether its password is right or wrong; see also `guess`."""
        await self._take("login", self._rates.log_in, address, membername)

    async def change_password(self, address: str, membername: str) -> None:
        """Take what a change of password costs; see also `guess`."""
        await self._take("password", self._rates.log_in, address, membername)

    async def guess(self, by: Guesser, address: str, membername: str) -> tuple[Bucket, ...]:
        """Take what a wrong password costs; return what was taken, for `was_no_guess`."""
        taken = guess_buckets(by, self._rates.guess, address, membername)
        await self._limiter.take(*taken)
        return taken

    async def was_no_guess(self, taken: tuple[Bucket, ...]) -> None:
        """Give back what `guess` took: the password was right, or not looked at."""
        await self._limiter.give_back(*taken)

    async def renew(self, address: str) -> None:
        """Take what a new access token costs."""
        await self._take("renew", self._rates.log_in, address)

    async def verify_email(self, address: str, token_id: UUID | None) -> None:
        """Take what a try of a link costs; *token_id* is None for what is no token."""
        await self._take("verify", self._rates.verify_email, address, str(token_id or ""))

    async def resend(self, address: str, email: str) -> None:
        """Take what another verification mail costs."""
        await self._take("resend", self._rates.resend, address, email)

    async def request_reset(self, address: str, email: str) -> None:
        """Take what a mail costs that lets somebody set a new password."""
        await self._take("request_reset", self._rates.resend, address, email)

    async def reset_password(self, address: str, token_id: UUID | None) -> None:
        """Take what a try of the link in it costs; *token_id* is None for what is no token."""
        await self._take("reset", self._rates.verify_email, address, str(token_id or ""))

    async def _take(self, call: str, rate: Rate | None, address: str, account: str = "") -> None:
        await self._limiter.take(*buckets(call, rate, address, account))
