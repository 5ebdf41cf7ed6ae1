"""Ways to find out who sends a request: from this machine, by a file of users, by a proxy."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from starlette.requests import Request

from pyasynq.core.errors import OptionError
from pyasynq.dashboard.problems import Problem
from pyasynq.operations.permissions import Principal, Role
from pyasynq.runtime.loggers import get_logger

Authorize: TypeAlias = Callable[[Request], Awaitable[Principal | None] | Principal | None]
"""Returns the principal of a request; None if it must log in first."""

FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Headers with which a proxy says that the client is elsewhere."""

REMEMBERED: Final = 1000
"""Passwords that were right and are remembered, because argon2 takes long on purpose."""

AT_ONCE: Final = 2
"""Passwords that are checked at the same time; each takes a thread and 64 MiB."""

CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="pyasynq", charset="UTF-8"'}

TOKEN: Final = "sha256:"  # noqa: S105 - no token
"""What the hash of a token begins with; that of a password begins with ``$argon2``."""


log: Final = get_logger("pyasynq.dashboard")


class LoopbackLogin:
    """Lets in every program on this machine, as an administrator.

    A request that a proxy has forwarded comes from elsewhere and is refused.
    """

    def __call__(self, request: Request) -> Principal:
        """Return the principal of *request*.

        Raises:
            Problem: If it does not come from this machine.
        """
        host = "" if request.client is None else request.client.host
        if not _is_loopback(host) or any(name in request.headers for name in FORWARDED):
            text = "without a login, the dashboard answers to this machine only"
            raise Problem(403, "forbidden", text)
        return Principal(name="local", role=Role.ADMIN)


class NoLogin:
    """Lets in everybody who can reach the dashboard."""

    def __init__(self, role: Role = Role.ADMIN) -> None:
        """Give everybody *role*."""
        self._principal = Principal(name="anyone", role=role)

    def __call__(self, request: Request) -> Principal:
        """Return the principal of every request."""
        return self._principal


def is_address(text: str) -> bool:
    """Return whether *text* is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return is_address(host) and ipaddress.ip_address(host).is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A line of a file of users: who it is, and the hash of the password or token."""

    principal: Principal
    hash: str


def read_users(text: str) -> list[User]:
    """Return the users in *text*: on each line a name, a role and a hash, separated by blanks.

    Raises:
        OptionError: If a line is malformed.
    """
    users: list[User] = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        form = f"name, role ({', '.join(Role)}) and hash, separated by blanks"
        if len(parts) != len(("name", "role", "hash")) or parts[1] not in list(Role):
            raise OptionError("users", f"line {number}", form)
        name, role, digest = parts
        if not digest.startswith((TOKEN, "$argon2")):
            raise OptionError(
                "users", f"line {number}", f"{form}; a hash begins with $argon2 or {TOKEN}"
            )
        users.append(User(principal=Principal(name=name, role=Role(role)), hash=digest))
    return users


class FileLogin:
    """Lets in the users of a file, by password (HTTP Basic) or by token (HTTP Bearer).

    The file is read again when it has changed.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        """Read *file*.

        Raises:
            OptionError: If it cannot be read, or a line is malformed.
        """
        self._file = Path(file)
        self._changed_ns = -1
        self._passwords: Mapping[str, User] = {}
        self._tokens: Sequence[tuple[bytes, Principal]] = ()
        self._key = os.urandom(32)
        self._known: OrderedDict[bytes, Principal] = OrderedDict()
        self._free: asyncio.Semaphore | None = None
        self._read()

    def _read(self) -> None:
        """Read the file if it has changed.

        Raises:
            OptionError: If it cannot be read, or a line is malformed.
        """
        try:
            changed_ns = self._file.stat().st_mtime_ns
            if changed_ns == self._changed_ns:
                return
            users = read_users(self._file.read_text())
        except OSError as error:
            raise OptionError("users", str(self._file), "a file that can be read") from error
        self._passwords = {
            user.principal.name: user for user in users if not user.hash.startswith(TOKEN)
        }
        self._tokens = [
            (user.hash.removeprefix(TOKEN).encode(), user.principal)
            for user in users
            if user.hash.startswith(TOKEN)
        ]
        self._known.clear()
        self._changed_ns = changed_ns

    async def __call__(self, request: Request) -> Principal:
        """Return the principal of *request*.

        Raises:
            Problem: If password or token are missing or wrong, or the file cannot be read any more.
        """
        try:
            self._read()
        except OptionError:  # it names the file, which concerns no client
            log.exception("nobody can log in to the dashboard")
            text = "nobody can log in now: the log of the dashboard says why"
            raise Problem(503, "login-unavailable", text) from None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        principal = None
        if scheme.lower() == "bearer":
            principal = self._by_token(given.strip())
        elif scheme.lower() == "basic":
            principal = await self._by_password(given.strip())
        if principal is None:
            raise Problem(401, "login-required", "log in first", headers=CHALLENGE)
        return principal

    def _by_token(self, token: str) -> Principal | None:
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest().encode()
        found = None
        for known, principal in self._tokens:  # all of them, so that the time says nothing
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    async def _by_password(self, given: str) -> Principal | None:
        mark = hmac.digest(self._key, given.encode(), "sha256")
        if (known := self._known.get(mark)) is not None:
            return known
        try:
            name, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        user = self._passwords.get(name)
        self._free = self._free or asyncio.Semaphore(AT_ONCE)
        async with self._free:
            is_right = await asyncio.to_thread(
                verify, DUMMY if user is None else user.hash, password
            )
        if user is None or not is_right or not colon:
            return None
        self._known[mark] = user.principal
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return user.principal


DUMMY: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$MDAwMDAwMDAwMDAwMDAwMA$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""A hash of no password: unknown users take as long as known ones."""


def verify(digest: str, password: str) -> bool:
    """Return whether *password* has the argon2 hash *digest*."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return PasswordHasher().verify(digest, password)
    except (InvalidHashError, VerificationError):
        return False


def hash_password(password: str) -> str:
    """Return the argon2 hash of *password*, for a file of users."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


def hash_token(token: str) -> str:
    """Return the hash of *token*, for a file of users; a token must be random and long."""
    return TOKEN + hashlib.sha256(token.encode()).hexdigest()


class ProxyLogin:
    """Lets in the users that a trusted proxy names in a header."""

    def __init__(
        self,
        header: str,
        *,
        trusted: Iterable[str] = ("127.0.0.1", "::1"),
        roles: Mapping[str, Role | str] | None = None,
        role: Role | str | None = Role.VIEWER,
    ) -> None:
        """Believe *header* if it comes from one of the addresses in *trusted*.

        Args:
            header: Name of the header in which the proxy writes the user; the proxy must remove the
                header from requests of its clients.
            trusted: Addresses and networks of the proxy.
            roles: The roles of users by their names.
            role: The role of all others; None refuses them.

        Raises:
            OptionError: If an address or a role does not exist.
        """
        try:
            self._trusted = [ipaddress.ip_network(address) for address in trusted]
        except ValueError as error:
            raise OptionError("trusted", str(error), "addresses or networks") from None
        try:
            self._roles = {name: Role(it) for name, it in (roles or {}).items()}
            self._role = None if role is None else Role(role)
        except ValueError as error:
            raise OptionError("roles", str(error), f"one of {', '.join(Role)}") from None
        self._header = header

    def __call__(self, request: Request) -> Principal | None:
        """Return the principal of *request*; None if the proxy names none.

        Raises:
            Problem: If it does not come from the proxy, or the user has no role.
        """
        if not self._is_trusted("" if request.client is None else request.client.host):
            raise Problem(403, "forbidden", "only the proxy may ask the dashboard")
        names = request.headers.getlist(self._header)
        if len(names) != 1 or not names[0]:
            return None
        role = self._roles.get(names[0], self._role)
        if role is None:
            raise Problem(403, "forbidden", f"{names[0]} has no role here")
        return Principal(name=names[0], role=role)

    def _is_trusted(self, host: str) -> bool:
        if not is_address(host):
            return False
        return any(ipaddress.ip_address(host) in network for network in self._trusted)
