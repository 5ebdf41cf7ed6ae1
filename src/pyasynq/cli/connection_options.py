"""The address of the broker: options, variables, and the file of asynq's own tool.

An option wins over its ``PYASYNQ_…`` variable, and the variable over the file.

Source:
    Protocol section 10.1 (asynq v0.26.0 ``tools/asynq/cmd/root.go``).

Differs:
    ``--uri`` takes a URL, too. Variables have a prefix, and nothing is printed about the file
    (D61).
"""

import functools
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import quote, urlencode

import click
import msgspec
from click.core import ParameterSource

from pyasynq.cli.exit_codes import ExitError
from pyasynq.cli.option_types import TEXT, Settings, option_with_variable
from pyasynq.cli.optional_deps import require

if TYPE_CHECKING:
    from pyasynq.app.address import Address
    from pyasynq.broker import BrokerAddress

F = TypeVar("F", bound=Callable[..., object])

HERE: Final = "127.0.0.1:6379"
NODES_HERE: Final = ",".join(f"127.0.0.1:{port}" for port in range(7000, 7006))
SENTINELS: Final = ("redis-sentinel", "rediss-sentinel")
SOCKETS: Final = ("unix", "redis-socket")
DEFAULT: Final = "the default"

FILES: Final = (".asynq.yaml", ".asynq.yml", ".asynq.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """The values of the options, variables and file; None if not given.

    All but *uri* are for Redis.

    Attributes:
        named_by: The option, variable or file that gives the address, in words.
        given: The options on the command line.
    """

    uri: str | None
    db: int | None
    username: str | None
    password: str | None = field(repr=False)
    cluster: bool
    cluster_addrs: str | None
    tls: bool
    tls_server: str | None
    insecure: bool
    named_by: str
    given: frozenset[str]

    @classmethod
    def of(cls, ctx: click.Context) -> "ConnectionOptions":
        """Return the options of the command of *ctx*."""
        sources = {name: ctx.get_parameter_source(name) for name in NAMES}
        return cls(
            **{name: value for name, value in ctx.params.items() if name in NAMES - {"config"}},
            named_by=_describe_source(ctx, "cluster_addrs" if ctx.params["cluster"] else "uri"),
            given=frozenset(n for n, it in sources.items() if it is ParameterSource.COMMANDLINE),
        )

    @property
    def url(self) -> str:
        """The URL of the broker.

        Raises:
            click.UsageError: If it is of SQLite, and another process cannot use it, or an option is
                given that only Redis has.
            OptionError: If it is of SQLite, and malformed.
        """
        from pyasynq.broker import name_of

        if self.uri and name_of(self.uri) == "SQLite":
            if more := sorted(self.given - {"uri", "config"}):
                msg = f"--{more[0].replace('_', '-')} is for Redis, not for {self.uri}"
                raise click.UsageError(msg)
            check_sqlite(self.uri)
            return self.uri
        if self.cluster:
            url = f"redis-cluster://{self.cluster_addrs or NODES_HERE}"
        else:
            url = self.uri or HERE
        url = url if "://" in url else f"redis://{url}"
        return _add_login(_add_tls(url, self), self)

    @property
    def is_default(self) -> bool:
        """Whether neither an option nor a variable or the file gives the address."""
        return self.named_by == DEFAULT

    def app_uri(self) -> str | None:
        """Return the address that replaces the one of an app; None keeps it.

        Raises:
            click.UsageError: If there is another option of the connection than ``-u``.
        """
        if more := sorted(self.given - {"uri"}):
            msg = f"--app takes -u URL, not --{more[0].replace('_', '-')}"
            raise click.UsageError(msg)
        return self.uri or None if "uri" in self.given else None


NAMES: Final = frozenset(
    {it.name for it in fields(ConnectionOptions)} - {"named_by", "given"} | {"config"}
)
"""The parameters of the options."""


def _describe_source(ctx: click.Context, name: str) -> str:
    """Return where the value of an option comes from, in words."""
    match ctx.get_parameter_source(name):
        case ParameterSource.COMMANDLINE:
            return f"named by --{name.replace('_', '-')}"
        case ParameterSource.ENVIRONMENT:
            return f"named by PYASYNQ_{name.upper()}"
        case ParameterSource.DEFAULT_MAP:
            return f"named by {ctx.params['config']}"
        case _:
            return DEFAULT


# -- options ---------------------------------------------------------------------------------------


def connection_options(*, variables: bool = True) -> Callable[[F], F]:
    """Return a decorator that adds the options of the connection.

    Args:
        variables: Whether variables and the file can replace the options.
    """
    add = option_with_variable if variables else click.option
    config: Settings = {"callback": _load_file, "is_eager": True} if variables else {}
    options: list[Callable[[F], F]] = [
        add(
            "-u", "--uri", help=f"URL of the broker, or host:port of Redis; {HERE} when not given."
        ),
        add(
            "-n",
            "--db",
            type=click.IntRange(0),
            metavar="N",
            help="Number of the database of Redis.",
        ),
        add("-U", "--username", **TEXT, help="User name for Redis."),
        add("-p", "--password", **TEXT, help="Password for Redis; better in PYASYNQ_PASSWORD."),
        add("--cluster", is_flag=True, help="Redis is a cluster."),
        add("--cluster-addrs", help="Some nodes of the cluster: host:port,host:port."),
        add("--tls", is_flag=True, help="Use TLS with Redis."),
        add("--tls-server", **TEXT, help="Host name in the certificate; turns TLS on."),
        add("--insecure", is_flag=True, help="Do not check the certificate."),
        add("--config", help="File with these options, instead of ~/.asynq.yaml.", **config),
    ]

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def with_connection(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of the connection to *command*, which gets them as *connection*."""

    @functools.wraps(command)
    def run(*args: object, **values: object) -> int:
        own = {name: value for name, value in values.items() if name not in NAMES}
        return command(*args, connection=ConnectionOptions.of(click.get_current_context()), **own)

    return connection_options()(run)


app_uri_option: Final = click.option(
    "-u",
    "--uri",
    help="URL of the broker, or host:port of Redis, instead of the app's; PYASYNQ_URI is for apps "
    "without one.",
)
"""``-u`` of a command that runs an app, whose code may give an address."""


def log_address(log: logging.Logger, own: "Address", uri: str | None) -> None:
    """Log which broker is used, and a warning if ``--uri`` or the app overrules another address.

    Args:
        log: Where to log it.
        own: The address of the app.
        uri: The address that replaces it, if there is one.
    """
    from pyasynq.app.address import VARIABLE
    from pyasynq.broker import file_of, name_of, redact_url

    used = uri or own.broker
    log.info("%s: %s", name_of(used), f"{redact_url(uri)} (named by --uri)" if uri else own)
    if isinstance(used, str) and name_of(used) == "SQLite" and file_of(used) is None:
        log.warning("the memory of this process is used: no other process sees the tasks")
    if uri and not _are_equal(uri, own.broker):
        log.warning("--uri stands for this process alone: elsewhere the app uses %s", own)
    elif not uri and not _are_equal(os.environ.get(VARIABLE) or own.broker, own.broker):
        log.warning("%s is not used: an address in the code of the app wins", VARIABLE)


def _are_equal(*brokers: "BrokerAddress") -> bool:
    """Return whether the addresses are equal, apart from defaults that some leave out."""
    return len({_shorten(it) if isinstance(it, str) else it for it in brokers}) == 1


def _shorten(uri: str) -> str:
    return uri.removeprefix("redis://").removesuffix("/0")


# -- the URL ---------------------------------------------------------------------------------------


def check_sqlite(uri: str) -> None:
    """Return if *uri* is not of SQLite, or names a file, which other processes can use, too.

    Raises:
        click.UsageError: If it is the memory of this process.
        OptionError: If it is of SQLite, and malformed.
    """
    from pyasynq.broker import file_of, name_of

    if name_of(uri) == "SQLite" and file_of(uri) is None:
        msg = f"{uri} is the memory of one process: name a file, such as sqlite:///tasks.db"
        raise click.UsageError(msg)


def _add_tls(url: str, connection: ConnectionOptions) -> str:
    if not (connection.tls or connection.tls_server or connection.insecure):
        return url
    scheme, rest = url.split("://", 1)
    if scheme in {"redis", "redis-cluster", "redis-sentinel"}:
        scheme = scheme.replace("redis", "rediss", 1)
    query: dict[str, str] = {}
    if connection.insecure:
        query |= {"ssl_cert_reqs": "none", "ssl_check_hostname": "false"}
    if connection.tls_server:
        query["ssl_server_name"] = connection.tls_server
    return f"{scheme}://{_add_query(rest, query)}"


def _add_login(url: str, connection: ConnectionOptions) -> str:
    """Return *url* with the name, password and database that were given.

    For sentinels they go into the query: the part before ``@`` is the login of the sentinels. For a
    socket the database goes there: the part after ``/`` is the path.
    """
    scheme, rest = url.split("://", 1)
    address, mark, query = rest.partition("?")
    netloc, slash, path = address.partition("/")
    login, at, hosts = netloc.rpartition("@")
    more: dict[str, object] = {}
    user, password = connection.username or "", connection.password or ""
    if scheme in SENTINELS:
        more |= {"username": user} if user else {}
        more |= {"password": password} if password else {}
    elif user or password:
        own_user, _, own_password = login.partition(":")
        user, password = quote(user, safe="") or own_user, quote(password, safe="") or own_password
        login, at = f"{user}:{password}", "@"
    if connection.db is not None:
        if scheme in SOCKETS or "db=" in query:
            more["db"] = connection.db
        else:
            slash, path = "/", str(connection.db)
    return f"{scheme}://{_add_query(f'{login}{at}{hosts}{slash}{path}{mark}{query}', more)}"


def _add_query(rest: str, more: Mapping[str, object]) -> str:
    """Return *rest* of a URL with *more* in its query; they replace parts of the same name."""
    if not more:
        return rest
    address, _, query = rest.partition("?")
    kept = [part for part in query.split("&") if part and part.partition("=")[0] not in more]
    return f"{address}?{'&'.join([*kept, urlencode(more)])}"


# -- the file --------------------------------------------------------------------------------------


def _load_file(ctx: click.Context, _option: click.Parameter, named: str | None) -> Path | None:
    """Take the defaults of the command's options from the file; return its path."""
    path = Path(named) if named else _find_usual_file()
    if path is not None:
        settings = {name: _join(value) for name, value in _read_file(path).items()}
        ctx.default_map = {name: settings[name] for name in NAMES if name in settings}
    return path


def _find_usual_file() -> Path | None:
    """Return the file in the home folder, if there is one that can be read."""
    try:
        home = Path.home()
        return next((file for name in FILES if (file := home / name).is_file()), None)
    except (OSError, RuntimeError):  # the folder belongs to another user, or this user has none
        return None


def _join(value: object) -> object:
    """Return a list of nodes in the form of the option."""
    return ",".join(map(str, cast("list[object]", value))) if isinstance(value, list) else value


def _read_file(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".json":
            return msgspec.json.decode(text, type=dict[str, Any])
        require("yaml", "cli", f"{path} needs a reader of YAML")
        import yaml

        return msgspec.convert(yaml.safe_load(text) or {}, dict[str, Any])
    except ExitError:
        raise
    except Exception as error:  # whatever the parser raises, the file is wrong
        msg = f"{path} cannot be read: {_describe(error)}"
        raise click.UsageError(msg) from error


def _describe(error: Exception) -> str:
    """Return what is wrong with the file, without its text: that may be the password."""
    mark: Any = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error)
    return f"line {mark.line + 1}, column {mark.column + 1} is no YAML: are quotes missing?"
