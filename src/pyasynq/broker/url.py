"""Addresses as texts: one reader for all their forms, and one table of settings.

An address holds passwords, and one that is written wrong holds them where nobody looks for them:
what follows the ``/``, ``?`` or ``#`` of a password looks like a path, a setting or a fragment. So
no error says what was read where a password may be.
"""

import difflib
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote

from pyasynq.core.errors import OptionError

Kind: TypeAlias = Literal["single", "socket", "sentinel", "cluster"]
Host: TypeAlias = tuple[str, int]

URLS: Final = (
    "host:port, or a redis://, rediss://, unix://, redis-sentinel:// or redis-cluster:// URL"
)
KINDS: Final[Mapping[str, Kind]] = {
    "redis": "single",
    "rediss": "single",
    "unix": "socket",
    "redis-socket": "socket",
    "redis-sentinel": "sentinel",
    "rediss-sentinel": "sentinel",
    "redis-cluster": "cluster",
    "rediss-cluster": "cluster",
}
PORTS: Final[Mapping[Kind, int]] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
PERCENT: Final = "write / # ? @ in a password in their percent form: %2F %23 %3F %40"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What an address says.

    Attributes:
        scheme: Its scheme, in small letters.
        kind: What is there.
        tls: Whether TLS is spoken.
        username: The name before the ``@``; empty if there is none.
        password: The password before the ``@``; empty if there is none.
        hosts: Each host, without brackets, and its port; none for a socket.
        path: Path of a socket; else empty.
        settings: What the query and the database's number set.
        shown: The address without login and settings.
    """

    scheme: str
    kind: Kind
    tls: bool
    username: str
    password: str
    hosts: tuple[Host, ...]
    path: str
    settings: Mapping[str, object]
    redacted: str


def parse(text: str) -> Address:
    """Return what the address *text* says.

    Raises:
        OptionError: If it is none, or one of its settings is unknown.
    """
    scheme, mark, rest = text.strip().partition("://")
    scheme, rest = (scheme.lower(), rest) if mark else ("redis", scheme)
    kind = KINDS.get(scheme)
    with _told(scheme, rest):
        if kind is None:
            raise ValueError
        return _read(scheme, kind, rest)


def redact_url(text: str) -> str:
    """Return the address *text* without login and settings; of one that is none, the scheme."""
    try:
        return parse(text).redacted
    except OptionError as error:
        return str(error.value)


@contextmanager
def _told(scheme: str, rest: str) -> Generator[None]:
    """Tell what is wrong with an address; where a password may be read, only that it is wrong."""
    try:
        yield
    except ValueError as error:
        netloc_end = min((at for mark in "/?#" if (at := rest.find(mark)) >= 0), default=len(rest))
        why = PERCENT if "@" in rest[netloc_end:] else str(error)
        named = f"{scheme}://…" if re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme) else "…://…"
        raise OptionError("broker", named, f"{URLS} ({why})" if why else URLS) from None


def _read(scheme: str, kind: Kind, rest: str) -> Address:
    rest, mark, _ = rest.partition("#")
    if mark:
        msg = f"nothing follows a #; {PERCENT}"
        raise ValueError(msg)
    front, _, query = rest.partition("?")
    netloc, slash, path = front.partition("/")
    login, _, places = netloc.rpartition("@")
    username, _, password = login.partition(":")
    tls = scheme.startswith("rediss")
    settings = dict(_settings(query, kind, tls=tls))
    if kind == "socket":
        if places or not path:
            msg = "the path of a socket begins with a /: unix:///run/redis.sock"
            raise ValueError(msg)
        if login and "@" in path:  # then the password may go on there
            raise ValueError
    elif path.strip("/"):
        settings.setdefault("db", _database(path.strip("/")))
    if kind == "cluster" and settings.get("db"):
        msg = "a cluster has database 0 alone"
        raise ValueError(msg)
    return Address(
        scheme=scheme,
        kind=kind,
        tls=tls,
        username=unquote(username),
        password=unquote(password),
        hosts=() if kind == "socket" else _hosts(places, kind),
        path=unquote(slash + path) if kind == "socket" else "",
        settings=settings,
        redacted=f"{scheme}://{places}{slash}{path}",
    )


# -- hosts -----------------------------------------------------------------------------------------


def _hosts(text: str, kind: Kind) -> tuple[Host, ...]:
    if kind == "single":
        host, port = _host(text, PORTS[kind])
        return ((host or "localhost", port),)
    hosts = tuple(_host(each.strip(), PORTS[kind]) for each in text.split(","))
    if not all(host for host, _ in hosts):
        msg = "no sentinel is named" if kind == "sentinel" else "no node is named"
        raise ValueError(msg)
    return hosts


def _host(text: str, usual: int) -> Host:
    """Return host and port of ``host``, ``host:port``, ``[IPv6]`` or ``[IPv6]:port``."""
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            msg = "an IPv6 address stands in brackets: [::1]:6379"
            raise ValueError(msg)
        port = port[1:]
    else:
        host, _, port = text.partition(":")
        if ":" in port:
            msg = "an IPv6 address stands in brackets: [::1]:6379"
            raise ValueError(msg)
    return unquote(host), _port(port) if port else usual


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**16):
        msg = "a port is a number from 1 to 65535"
        raise ValueError(msg)
    return int(text)


# -- settings --------------------------------------------------------------------------------------


def _database(text: str) -> int:
    return _whole("the number of a database", text, least=0)


def _whole(what: str, text: str, *, least: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        msg = f"{what} is a whole number, {least} or more"
        raise ValueError(msg)
    return int(text)


def _count(name: str, text: str) -> int:
    return _whole(name, text, least=1)


def _seconds(name: str, text: str) -> float:
    """Return a time; 0 and less would end every wait before it begins."""
    if not (re.fullmatch(r"\d+(\.\d*)?|\.\d+", text) and float(text) > 0):
        msg = f"{name} is a number of seconds above 0"
        raise ValueError(msg)
    return float(text)


def _interval(name: str, text: str) -> int:
    return _whole(name, text, least=0)


def _switch(name: str, text: str) -> bool:
    """Return yes or no, in the words that the driver's own addresses know."""
    if text.lower() not in {"1", "t", "true", "y", "yes", "0", "f", "false", "n", "no"}:
        msg = f"{name} is true or false"
        raise ValueError(msg)
    return text[0].lower() in "1ty"


def _one_of(*allowed: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text not in allowed:
            msg = f"{name} is {' or '.join(allowed)}"
            raise ValueError(msg)
        return text

    return read


def _text(_: str, text: str) -> str | None:
    return text or None


def _file(name: str, text: str) -> str:
    """Return the path of a file that exists: it is read with the first connection only."""
    if not os.path.exists(text):  # unlike that of a Path it never raises
        msg = f"{name} names a file that does not exist"
        raise ValueError(msg)
    return text


def _protocol(name: str, text: str) -> int:
    return int(_one_of("2", "3")(name, text))


def _tls_version(name: str, text: str) -> int:
    """Return a version as the driver's own addresses have it: 771 is TLS 1.2, 772 is 1.3."""
    import ssl

    try:
        return ssl.TLSVersion(int(text))
    except ValueError:
        msg = f"{name} is 771 for TLS 1.2 or 772 for TLS 1.3"
        raise ValueError(msg) from None


def _flags(name: str, text: str) -> list[int]:
    import ssl

    names = [flag.strip() for flag in text.strip("[]").split(",")]
    if not all(flag in ssl.VerifyFlags.__members__ for flag in names):
        msg = f"{name} names flags of ssl.VerifyFlags"
        raise ValueError(msg)
    return [ssl.VerifyFlags[flag] for flag in names]


Reader: TypeAlias = Callable[[str, str], object]

COMMON: Final[Mapping[str, Reader]] = {
    "client_name": _text,
    "db": lambda _, text: _database(text),
    "encoding": _text,
    "encoding_errors": _text,
    "health_check_interval": _interval,
    "legacy_responses": _switch,
    "lib_name": _text,
    "lib_version": _text,
    "max_connections": _count,
    "password": _text,
    "protocol": _protocol,
    "retry_on_timeout": _switch,
    "socket_connect_timeout": _seconds,
    "socket_read_size": _count,
    "socket_timeout": _seconds,
    "username": _text,
}
"""Settings of the driver that every form of address takes, and how each is read."""

NETWORK: Final[Mapping[str, Reader]] = {"socket_keepalive": _switch}
TLS: Final[Mapping[str, Reader]] = {
    "ssl_ca_certs": _file,
    "ssl_ca_data": _text,
    "ssl_ca_path": _file,
    "ssl_cert_reqs": _one_of("none", "optional", "required"),
    "ssl_certfile": _file,
    "ssl_check_hostname": _switch,
    "ssl_ciphers": _text,
    "ssl_exclude_verify_flags": _flags,
    "ssl_include_verify_flags": _flags,
    "ssl_keyfile": _file,
    "ssl_min_version": _tls_version,
    "ssl_password": _text,
    "ssl_server_name": _text,
}
OWN: Final[Mapping[Kind, Mapping[str, Reader]]] = {
    "sentinel": {"master": _text},
    "cluster": {"dynamic_startup_nodes": _switch, "require_full_coverage": _switch},
}

OBJECTS: Final = frozenset(
    {
        "command_packer",
        "connection_class",
        "connection_pool",
        "credential_provider",
        "decode_responses",
        "encoder_class",
        "event_dispatcher",
        "parser_class",
        "redis_connect_func",
        "retry",
        "retry_on_error",
    }
)
"""Settings of the driver that a program can give and a text cannot."""


def _settings(query: str, kind: Kind, *, tls: bool) -> Iterator[tuple[str, object]]:
    network = {} if kind == "socket" else NETWORK
    known = {**COMMON, **network, **(TLS if tls else {}), **OWN.get(kind, {})}
    met: set[str] = set()
    secret = "password" in query
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name in met:
            msg = f"{name} is given twice"
            raise ValueError(msg)
        if name not in known:
            raise ValueError(_unknown(name, known, secret=secret))
        met.add(name)
        yield name, known[name](name, text)


def _unknown(name: str, known: Mapping[str, Reader], *, secret: bool) -> str:
    """Say why *name* is no setting; it may be a piece of a password that was cut at an ``&``."""
    if name in OBJECTS:
        return f"{name} cannot be given in a URL: make the client yourself"
    if name in TLS:
        return f"{name} needs TLS, so a scheme that begins with rediss"
    named = "a setting" if secret else f"the setting {name!r}"
    if near := difflib.get_close_matches(name, known, n=1, cutoff=0.7):
        return f"{named} is unknown; did you mean {near[0]}?"
    return f"{named} is unknown; known are {', '.join(sorted(known))}"
