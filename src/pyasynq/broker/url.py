"""URLs of Redis: one parser for all its schemes, and one table of settings.

A URL contains passwords, and in a malformed URL they can be anywhere: after an unescaped ``/``,
``?`` or ``#`` the rest of a password looks like a path, a setting or a fragment. So no error quotes
a part of the URL that may contain a password.
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
    "host:port, or a redis://, rediss://, unix://, redis-sentinel://, redis-cluster:// or"
    " sqlite:// URL"
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
PERCENT: Final = "percent-encode / # ? @ in a password: %2F %23 %3F %40"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A parsed broker URL.

    Attributes:
        scheme: Its scheme, in lower case.
        kind: What it leads to: one server, a socket, sentinels or a cluster.
        tls: Whether to use TLS.
        username: The name before the ``@``; may be empty.
        password: The password before the ``@``; may be empty.
        hosts: Each host, without brackets, and its port; none for a socket.
        path: Path of a socket; else empty.
        settings: The settings of the query, and the database's number.
        redacted: The URL without login and settings.
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


def scheme_of(text: str) -> str:
    """Return the scheme of the address *text*, in lower case; a bare ``host:port`` means redis."""
    scheme, mark, _ = text.strip().partition("://")
    return scheme.lower() if mark else "redis"


def parse(text: str) -> Address:
    """Parse the address *text*.

    Raises:
        OptionError: If it is malformed, or one of its settings is unknown or invalid.
    """
    scheme, text = scheme_of(text), text.strip()
    rest = text.partition("://")[2] if "://" in text else text
    kind = KINDS.get(scheme)
    with _option_errors(scheme, rest):
        if kind is None:
            raise ValueError
        return _parse_rest(scheme, kind, rest)


def redact_url(text: str) -> str:
    """Return the address *text* without login and settings; if malformed, only its scheme."""
    try:
        return parse(text).redacted
    except OptionError as error:
        return str(error.value)


@contextmanager
def _option_errors(scheme: str, rest: str) -> Generator[None]:
    """Turn a ValueError into an OptionError that quotes no part that may contain a password."""
    try:
        yield
    except ValueError as error:
        netloc_end = min((at for mark in "/?#" if (at := rest.find(mark)) >= 0), default=len(rest))
        why = PERCENT if "@" in rest[netloc_end:] else str(error)
        named = f"{scheme}://…" if re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme) else "…://…"
        raise OptionError("broker", named, f"{URLS} ({why})" if why else URLS) from None


def _parse_rest(scheme: str, kind: Kind, rest: str) -> Address:
    rest, mark, _ = rest.partition("#")
    if mark:
        msg = f"a URL of a broker has no #; {PERCENT}"
        raise ValueError(msg)
    front, _, query = rest.partition("?")
    netloc, slash, path = front.partition("/")
    login, _, hosts = netloc.rpartition("@")
    username, _, password = login.partition(":")
    tls = scheme.startswith("rediss")
    settings = dict(_settings(query, kind, tls=tls))
    if kind == "socket":
        if hosts or not path:
            msg = "the path of a socket begins with a /: unix:///run/redis.sock"
            raise ValueError(msg)
        if login and "@" in path:  # the path may contain the rest of the password
            raise ValueError
    elif path.strip("/"):
        settings.setdefault("db", _database(path.strip("/")))
    if kind == "cluster" and settings.get("db"):
        msg = "a cluster has only database 0"
        raise ValueError(msg)
    return Address(
        scheme=scheme,
        kind=kind,
        tls=tls,
        username=unquote(username),
        password=unquote(password),
        hosts=() if kind == "socket" else _parse_hosts(hosts, kind),
        path=unquote(slash + path) if kind == "socket" else "",
        settings=settings,
        redacted=f"{scheme}://{hosts}{slash}{path}",
    )


# -- hosts -----------------------------------------------------------------------------------------


def _parse_hosts(text: str, kind: Kind) -> tuple[Host, ...]:
    if kind == "single":
        host, port = _parse_host(text, PORTS[kind])
        return ((host or "localhost", port),)
    hosts = tuple(_parse_host(each.strip(), PORTS[kind]) for each in text.split(","))
    if not all(host for host, _ in hosts):
        msg = "no sentinel is named" if kind == "sentinel" else "no node is named"
        raise ValueError(msg)
    return hosts


def _parse_host(text: str, default_port: int) -> Host:
    """Return host and port of ``host``, ``host:port``, ``[IPv6]`` or ``[IPv6]:port``."""
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            msg = "write an IPv6 address in brackets: [::1]:6379"
            raise ValueError(msg)
        port = port[1:]
    else:
        host, _, port = text.partition(":")
        if ":" in port:
            msg = "write an IPv6 address in brackets: [::1]:6379"
            raise ValueError(msg)
    return unquote(host), _parse_port(port) if port else default_port


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**16):
        msg = "a port is a number from 1 to 65535"
        raise ValueError(msg)
    return int(text)


# -- settings --------------------------------------------------------------------------------------


def _database(text: str) -> int:
    return _integer("the number of a database", text, least=0)


def _integer(what: str, text: str, *, least: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        msg = f"{what} is a whole number, {least} or more"
        raise ValueError(msg)
    return int(text)


def _count(name: str, text: str) -> int:
    return _integer(name, text, least=1)


def _seconds(name: str, text: str) -> float:
    """Parse a time above 0; with 0 every wait would end at once."""
    if not (re.fullmatch(r"\d+(\.\d*)?|\.\d+", text) and float(text) > 0):
        msg = f"{name} is a number of seconds above 0"
        raise ValueError(msg)
    return float(text)


def _interval(name: str, text: str) -> int:
    return _integer(name, text, least=0)


def _boolean(name: str, text: str) -> bool:
    """Parse a boolean; the driver's own URLs take the same texts."""
    if text.lower() not in {"1", "t", "true", "y", "yes", "0", "f", "false", "n", "no"}:
        msg = f"{name} is true or false"
        raise ValueError(msg)
    return text[0].lower() in "1ty"


def _one_of(*allowed: str) -> Callable[[str, str], str]:
    def parse_choice(name: str, text: str) -> str:
        if text not in allowed:
            msg = f"{name} is {' or '.join(allowed)}"
            raise ValueError(msg)
        return text

    return parse_choice


def _text(_: str, text: str) -> str | None:
    return text or None


def _file(name: str, text: str) -> str:
    """Check now that the file exists: the driver reads it only with the first connection."""
    if not os.path.exists(text):  # Path.exists() raises for some texts, this never
        msg = f"{name} names a file that does not exist"
        raise ValueError(msg)
    return text


def _protocol(name: str, text: str) -> int:
    return int(_one_of("2", "3")(name, text))


def _tls_version(name: str, text: str) -> int:
    """Parse a version as the driver's own URLs write it: 771 is TLS 1.2, 772 is TLS 1.3."""
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


Parser: TypeAlias = Callable[[str, str], object]

COMMON: Final[Mapping[str, Parser]] = {
    "client_name": _text,
    "db": lambda _, text: _database(text),
    "encoding": _text,
    "encoding_errors": _text,
    "health_check_interval": _interval,
    "legacy_responses": _boolean,
    "lib_name": _text,
    "lib_version": _text,
    "max_connections": _count,
    "password": _text,
    "protocol": _protocol,
    "retry_on_timeout": _boolean,
    "socket_connect_timeout": _seconds,
    "socket_read_size": _count,
    "socket_timeout": _seconds,
    "username": _text,
}
"""Settings of the driver that a URL of any scheme takes, and their parsers."""

NETWORK: Final[Mapping[str, Parser]] = {"socket_keepalive": _boolean}
TLS: Final[Mapping[str, Parser]] = {
    "ssl_ca_certs": _file,
    "ssl_ca_data": _text,
    "ssl_ca_path": _file,
    "ssl_cert_reqs": _one_of("none", "optional", "required"),
    "ssl_certfile": _file,
    "ssl_check_hostname": _boolean,
    "ssl_ciphers": _text,
    "ssl_exclude_verify_flags": _flags,
    "ssl_include_verify_flags": _flags,
    "ssl_keyfile": _file,
    "ssl_min_version": _tls_version,
    "ssl_password": _text,
    "ssl_server_name": _text,
}
OWN: Final[Mapping[Kind, Mapping[str, Parser]]] = {
    "sentinel": {"master": _text},
    "cluster": {"dynamic_startup_nodes": _boolean, "require_full_coverage": _boolean},
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
"""Settings of the driver that take a Python object, so a URL cannot contain them."""


def _settings(query: str, kind: Kind, *, tls: bool) -> Iterator[tuple[str, object]]:
    network = {} if kind == "socket" else NETWORK
    known = {**COMMON, **network, **(TLS if tls else {}), **OWN.get(kind, {})}
    seen: set[str] = set()
    secret = "password" in query
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name in seen:
            msg = f"{name} is given twice"
            raise ValueError(msg)
        if name not in known:
            raise ValueError(_unknown_setting(name, known, secret=secret))
        seen.add(name)
        yield name, known[name](name, text)


def _unknown_setting(name: str, known: Mapping[str, Parser], *, secret: bool) -> str:
    """Return why *name* is no setting; if *secret*, *name* may be a password cut at an ``&``."""
    if name in OBJECTS:
        return f"{name} cannot be given in a URL: make the client yourself"
    if name in TLS:
        return f"{name} needs TLS: use a scheme that begins with rediss"
    subject = "a setting" if secret else f"the setting {name!r}"
    if near := difflib.get_close_matches(name, known, n=1, cutoff=0.7):
        return f"{subject} is unknown; did you mean {near[0]}?"
    return f"{subject} is unknown; known are {', '.join(sorted(known))}"
