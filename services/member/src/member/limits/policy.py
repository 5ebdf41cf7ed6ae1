"""Which calls are limited, and by whom they are counted.

Each setting says how often one person at one place may do something. That person is known by
address, by account, or by both, and each of these alone is wrong for somebody:

- Behind one address may be a school. So what is counted by address alone, of calls that a whole
  school makes in a morning, is ten times the setting. Sign-ups are counted as the setting says:
  a school that signs up together needs a higher one.
- A dictionary attack tries one account from many addresses. So all addresses together may try an
  account three times as often as one. That slows the attack down and does not stop it; rules for
  passwords must.
- Whoever empties the bucket of an account locks its member out. So one address runs out of tokens
  for an account (``pair``) when two thirds of the account's are left for others. Three addresses
  can still hold up new log-ins of a member; sessions that are open stay open, because renewing
  and changing a password take other tokens.

A mail to verify an address is counted as the setting says by that address, from wherever it is
asked for: its owner has had that many mails, and must be spared more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from member.limits.buckets import Bucket, Limiter
from member.limits.keys import address_key, typed_key
from member.limits.rate import Rate

_SHARED = 10
_ATTACKED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often one person may do something; None is without limit."""

    create_member: Rate | None
    log_in: Rate | None
    verify_email: Rate | None
    resend: Rate | None


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
        "login": Allowance(address=_SHARED, account=_ATTACKED, pair=1),
        "password": Allowance(address=_SHARED, account=_ATTACKED, pair=1),
        "renew": Allowance(address=_SHARED),
        "verify": Allowance(address=1, account=1),
        "resend": Allowance(address=_SHARED, account=1),
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


class Limits:
    """Asks a limiter before each call that is limited.

    Each method raises `LimitedError` if the call comes too often.
    """

    def __init__(self, limiter: Limiter, rates: Rates) -> None:
        """Limit calls to *rates*."""
        self._limiter = limiter
        self._rates = rates

    async def create_member(self, address: str, email: str) -> None:
        """Take what a sign-up costs."""
        await self._take("create", self._rates.create_member, address, email)

    async def log_in(self, address: str, membername: str) -> None:
        """Take what a log-in costs, whether its password is right or wrong."""
        await self._take("login", self._rates.log_in, address, membername)

    async def change_password(self, address: str, membername: str) -> None:
        """Take what a change of password costs: it could try old passwords as a log-in could."""
        await self._take("password", self._rates.log_in, address, membername)

    async def renew(self, address: str) -> None:
        """Take what a new access token costs."""
        await self._take("renew", self._rates.log_in, address)

    async def verify_email(self, address: str, token_id: UUID | None) -> None:
        """Take what a try of a link costs; *token_id* is None for what is no token."""
        await self._take("verify", self._rates.verify_email, address, str(token_id or ""))

    async def resend(self, address: str, email: str) -> None:
        """Take what another verification mail costs."""
        await self._take("resend", self._rates.resend, address, email)

    async def _take(self, call: str, rate: Rate | None, address: str, account: str = "") -> None:
        await self._limiter.take(*buckets(call, rate, address, account))
