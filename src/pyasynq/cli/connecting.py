"""Where Redis is: flags, variables, and the file that asynq's own tool reads.

The flag wins over its ``PYASYNQ_…`` variable, which wins over the file.

Source:
    Protocol section 10.1 (asynq v0.26.0 ``tools/asynq/cmd/root.go``).

Differs:
    ``--uri`` takes a URL, too. Variables have a prefix, and nothing is printed about the file
    (D61).
"""

import argparse
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urlencode

import msgspec

from pyasynq.app.address import VARIABLE
from pyasynq.broker import BrokerAddress, redact_url
from pyasynq.cli.exits import Exit, ExitError
from pyasynq.cli.extras import need
from pyasynq.cli.values import FromVariable, naming_variable, on, whole

if TYPE_CHECKING:
    from pyasynq.app.address import Address

DEFAULTS: Final[Mapping[str, object]] = {
    "uri": "127.0.0.1:6379",
    "db": None,
    "username": "",
    "password": "",
    "cluster": False,
    "cluster_addrs": ",".join(f"127.0.0.1:{port}" for port in range(7000, 7006)),
    "tls": False,
    "tls_server": "",
    "insecure": False,
}
SENTINELS: Final = ("redis-sentinel", "rediss-sentinel")
SOCKETS: Final = ("unix", "redis-socket")
FILES: Final = (".asynq.yaml", ".asynq.yml", ".asynq.json")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags; they may stand before the command or after it, so none has a default."""
    group = parser.add_argument_group("connection")

    def add(*flags: str, **settings: Any) -> None:  # noqa: ANN401 - argparse's own settings
        group.add_argument(*flags, default=argparse.SUPPRESS, **settings)

    add("-u", "--uri", help="host:port or URL of Redis")
    add("-n", "--db", type=whole, help="number of the database")
    add("-U", "--username", help="name for Redis")
    add("-p", "--password", help="password for Redis; better in PYASYNQ_PASSWORD")
    add("--cluster", action="store_true", help="Redis is a cluster")
    add("--cluster-addrs", "--cluster_addrs", help="some of its nodes: host:port,host:port")
    add("--tls", action="store_true", help="speak TLS")
    add("--tls-server", "--tls_server", help="name the certificate must have; turns TLS on")
    add("--insecure", action="store_true", help="do not check the certificate")
    add("--config", help="file with defaults for these options, instead of ~/.asynq.yaml")


def add_uri(parser: argparse.ArgumentParser) -> None:
    """Add ``-u`` to a command that runs an app, which has a Redis of its own."""
    text = f"host:port or URL of Redis, instead of the app's; {VARIABLE} is for apps without one"
    parser.add_argument("-u", "--uri", default=argparse.SUPPRESS, help=text)


def check_taken(parser: argparse.ArgumentParser, words: argparse.Namespace) -> None:
    """Return if the command takes the options that stand before it.

    Args:
        parser: Has the options before the command.
        words: What was given; *parsed_by* is the command's own parser.

    Raises:
        ExitError: If it would ignore one.
    """
    command = words.parsed_by
    taken = {action.dest for action in command._actions}  # noqa: SLF001 - argparse shows them nowhere else
    for action in parser._actions:  # noqa: SLF001
        value = getattr(words, action.dest, parser.get_default(action.dest))
        if action.dest in taken or value == parser.get_default(action.dest):
            continue
        name = command.prog.split(" ", 1)[-1]
        instead = "-u URL, not" if "uri" in taken and action.dest in DEFAULTS else "no"
        raise ExitError(Exit.USAGE, f"{name} takes {instead} {action.option_strings[0]}")


def app_uri(words: argparse.Namespace) -> str | None:
    """Return what replaces the app's own Redis, if anything does."""
    return getattr(words, "uri", None) or None


def log_address(log: logging.Logger, own: "Address", uri: str | None) -> None:
    """Say which Redis is used, and who is surprised by that.

    Args:
        log: Where to say it.
        own: That of the app.
        uri: What replaces it, if anything does.
    """
    log.info("Redis: %s", f"{redact_url(uri)} (named by --uri)" if uri else own)
    if uri and not _same(uri, own.broker):
        log.warning("--uri stands for this process alone: elsewhere the app uses %s", own)
    elif not uri and not _same(os.environ.get(VARIABLE) or own.broker, own.broker):
        log.warning("%s is not used: an address in the code of the app wins", VARIABLE)


def _same(*brokers: BrokerAddress) -> bool:
    """Return whether these are the same, however short they are written."""
    return len({_short(it) if isinstance(it, str) else it for it in brokers}) == 1


def _short(uri: str) -> str:
    return uri.removeprefix("redis://").removesuffix("/0")


def redis_url(words: argparse.Namespace, environ: Mapping[str, str]) -> str:
    """Return the URL of the Redis that flags, variables and file name.

    Raises:
        ExitError: If the file cannot be read, or something does not fit.
    """
    settings = {**DEFAULTS, **_from_file(words, environ), **_from_environ(environ)}
    settings |= {name: getattr(words, name) for name in DEFAULTS if hasattr(words, name)}
    tls = bool(settings["tls"] or settings["tls_server"])
    if settings["cluster"]:
        url = f"redis-cluster://{_addresses(settings['cluster_addrs'])}"
    else:
        url = str(settings["uri"])
    url = url if "://" in url else f"redis://{url}"
    return _with_login(_with_tls(url, settings) if tls or settings["insecure"] else url, settings)


def _addresses(value: object) -> str:
    return (
        ",".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)
    )


def _with_tls(url: str, settings: Mapping[str, object]) -> str:
    scheme, rest = url.split("://", 1)
    if scheme in {"redis", "redis-cluster", "redis-sentinel"}:
        scheme = scheme.replace("redis", "rediss", 1)
    query: dict[str, str] = {}
    if settings["insecure"]:
        query |= {"ssl_cert_reqs": "none", "ssl_check_hostname": "false"}
    if settings["tls_server"]:
        query["ssl_server_name"] = str(settings["tls_server"])
    return f"{scheme}://{_with_query(rest, query)}"


def _with_login(url: str, settings: Mapping[str, object]) -> str:
    """Return *url* with name, password and database, where they are given.

    What stands before the ``@`` of sentinels is their own login, and what follows the ``/`` of a
    socket is its path.
    """
    scheme, rest = url.split("://", 1)
    address, mark, query = rest.partition("?")
    netloc, slash, path = address.partition("/")
    login, at, hosts = netloc.rpartition("@")
    more: dict[str, object] = {}
    given = {name: settings[name] for name in ("username", "password") if settings[name]}
    if scheme in SENTINELS:
        more |= given
    elif given:
        user, password = (quote(str(settings[name]), safe="") for name in ("username", "password"))
        login, at = f"{user}:{password}", "@"
    if settings["db"] is not None:
        if scheme in SOCKETS or "db=" in query:
            more["db"] = settings["db"]
        else:
            slash, path = "/", str(settings["db"])
    return f"{scheme}://{_with_query(f'{login}{at}{hosts}{slash}{path}{mark}{query}', more)}"


def _with_query(rest: str, more: Mapping[str, object]) -> str:
    """Return the end of a URL with *more* in its query, instead of what had these names."""
    if not more:
        return rest
    address, _, query = rest.partition("?")
    kept = [part for part in query.split("&") if part and part.partition("=")[0] not in more]
    return f"{address}?{'&'.join([*kept, urlencode(more)])}"


def _from_environ(environ: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, default in DEFAULTS.items():
        text = FromVariable.read(f"PYASYNQ_{name.upper()}", environ)
        if text is not None:
            found[name] = _switched(text) if isinstance(default, bool) else text
    return found


def _switched(text: str) -> bool:
    try:
        return naming_variable(on)(text)
    except argparse.ArgumentTypeError as error:
        raise ExitError(Exit.USAGE, str(error)) from None


def _from_file(words: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, object]:
    named = getattr(words, "config", None) or environ.get("PYASYNQ_CONFIG")
    home = Path(environ.get("HOME") or Path.home())
    usual = next((file for name in FILES if (file := home / name).is_file()), None)
    path = Path(named) if named else usual
    if path is None:
        return {}
    settings = _read(path)
    return {name: settings[name] for name in DEFAULTS if name in settings}


def _read(path: Path) -> Mapping[str, object]:
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".json":
            return msgspec.json.decode(text, type=dict[str, object])
        need("yaml", "cli", f"{path} needs a reader of YAML")
        import yaml

        return msgspec.convert(yaml.safe_load(text) or {}, dict[str, object])
    except ExitError:
        raise
    except Exception as error:  # whatever the reader raises, the file is at fault
        raise ExitError(Exit.USAGE, f"{path} cannot be read: {error}") from error
