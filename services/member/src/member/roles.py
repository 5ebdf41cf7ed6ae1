"""The roles of a process; together the processes of a service need all of them."""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """One kind of work that a process does."""

    GRPC = "grpc"
    HTTP = "http"
    WORKER = "worker"
    RELAY = "relay"


ALL_ROLES = frozenset(Role)
ANSWERING_ROLES = frozenset({Role.GRPC, Role.HTTP})
"""The roles that answer calls of members; the others work in the background."""


def read_roles(given: str | Iterable[str]) -> frozenset[Role]:
    """Return the roles that a text such as ``grpc,http`` names.

    Raises:
        ValueError: If it names no role, or an unknown one; the text lists all roles.
    """
    names = given.split(",") if isinstance(given, str) else given
    try:
        roles = frozenset(Role(name.strip()) for name in names)
    except ValueError:
        roles = frozenset[Role]()
    if not roles:
        msg = f"must be one or more of {format_roles(Role)}"
        raise ValueError(msg)
    return roles


def format_roles(roles: Iterable[Role]) -> str:
    """Return *roles* as a text for `read_roles`, always in the same order."""
    chosen = frozenset(roles)
    return ",".join(role for role in Role if role in chosen)
