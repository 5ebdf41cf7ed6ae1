"""Who calls, as far as a face can tell."""

from dataclasses import dataclass, field

_USER_AGENT_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Where a call comes from and what it shows.

    Attributes:
        address: The caller's IP address; calls are limited by it. Empty where there is none.
        access_token: What the caller shows to prove who it is; empty for nothing.
        user_agent: What the caller's program says it is, as `shown` made it.
    """

    address: str = ""
    access_token: str = field(default="", repr=False)
    user_agent: str = ""


def shown(user_agent: str) -> str:
    """Return what is kept of a header ``User-Agent``: characters that show, not too many."""
    return "".join(c for c in user_agent if c.isprintable()).strip()[:_USER_AGENT_MAX]


def bearer_token(authorization: str) -> str:
    """Return the token in an ``Authorization`` header, or an empty text.

    Source:
        RFC 6750, 2.1.
    """
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
