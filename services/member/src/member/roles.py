"""What one process of the service does; together the processes do all of it."""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """One thing a process does."""

    GRPC = "grpc"
    HTTP = "http"
    WORKER = "worker"
    RELAY = "relay"


ALL_ROLES = frozenset(Role)
FACES = frozenset({Role.GRPC, Role.HTTP})
"""What answers members; the others work behind it."""


def read_roles(given: str | Iterable[str]) -> frozenset[Role]:
    """Return the roles that a text such as ``grpc,http`` names.

    Raises:
        ValueError: If it names none, or one that there is not; it says which there are.
    """
    names = given.split(",") if isinstance(given, str) else given
    try:
        roles = frozenset(Role(name.strip()) for name in names)
    except ValueError:
        roles = frozenset[Role]()
    if not roles:
        msg = f"must be one or more of {listed(Role)}"
        raise ValueError(msg)
    return roles


def listed(roles: Iterable[Role]) -> str:
    """Return *roles* as a text that `read_roles` reads, always in the same order."""
    chosen = frozenset(roles)
    return ",".join(role for role in Role if role in chosen)
