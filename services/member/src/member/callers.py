"""The caller, as far as a server knows it."""

from dataclasses import dataclass, field

_USER_AGENT_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Where a call comes from, and the token that it carries.

    Attributes:
        address: The caller's IP address, for the limits. Empty if it has none, as on a Unix socket.
        access_token: The token that proves who the caller is; empty if the call carries none.
        user_agent: The name of the caller's program, as `clean_user_agent` returns it.
    """

    address: str = ""
    access_token: str = field(default="", repr=False)
    user_agent: str = ""


def clean_user_agent(user_agent: str) -> str:
    """Return the visible characters of a ``User-Agent`` header, at most 200."""
    return "".join(c for c in user_agent if c.isprintable()).strip()[:_USER_AGENT_MAX]


def bearer_token(authorization: str) -> str:
    """Return the token in an ``Authorization`` header, or an empty text.

    Source:
        RFC 6750, 2.1.
    """
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
