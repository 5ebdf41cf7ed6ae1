"""Types of option values (durations, weights, addresses), and options with a variable."""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

import click

from pyasynq.core import durations
from pyasynq.core.errors import OptionError

F = TypeVar("F", bound=Callable[..., object])

Settings: TypeAlias = dict[str, Any]
"""Keyword arguments of `click.option`."""

_SIZE: Final = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>[KMG])(iB?)?", re.IGNORECASE)
"""A size. ``MB`` is not accepted: it may mean a million bytes."""

HIGHEST_PORT: Final = 65_535


def option_with_variable(*flags: str, **settings: Any) -> Callable[[F], F]:  # noqa: ANN401 - click's own settings
    """Return `click.option` for an option that an environment variable can replace."""
    long = next(flag for flag in flags if flag.startswith("--"))
    variable = "PYASYNQ_" + long.removeprefix("--").replace("-", "_").upper()
    return click.option(*flags, envvar=variable, show_envvar=True, **settings)


# -- parsers: click calls them; they raise click.BadParameter --------------------------------------


def _refuse(text: str) -> NoReturn:
    raise click.BadParameter(text)


def parse_duration(text: str) -> timedelta:
    """Return the duration that *text* gives in Go's form: ``8s``, ``1m30s``, ``250ms``, ``0``."""
    if text.startswith("-"):
        _refuse(f"{text} is negative: write 0 or more, 8s for instance")
    try:
        return durations.parse_duration(text)
    except ValueError as error:
        _refuse(str(error))


def parse_size(text: str) -> int:
    """Return the bytes of ``512M``, ``1.5G`` or ``300000K``; units are powers of 1,024."""
    match = _SIZE.fullmatch(text)
    size = 0
    if match is not None:
        size = int(float(match["number"]) * 1024 ** (1 + "KMG".index(match["unit"].upper())))
    if not size:
        _refuse(f"{text!r} is no size: write 512M or 1.5G")
    return size


def parse_instant(text: str) -> datetime:
    """Return the instant of ``2030-01-31T12:00:00Z`` (RFC 3339)."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.utcoffset() is None:
        _refuse(f"{text!r} is no instant: write 2030-01-31T12:00:00Z")
    return at


def parse_weights(text: str) -> dict[str, int]:
    """Return the queues and weights of ``critical=6,default=3,low``; no weight means 1."""
    queues: dict[str, int] = {}
    for part in text.split(","):
        queue, equals, weight = part.partition("=")
        name, _, number = part.rpartition(":")
        if name and number.isdecimal() and not equals:
            _refuse(f"{part!r}: write {name}={number}")
        if not queue or not (weight or "1").isdecimal():
            _refuse(f"{text!r}: write queues as critical=6,default=3,low=1")
        if queue in queues:
            _refuse(f"{text!r} names {queue!r} twice")
        queues[queue] = int(weight or 1)
    return queues


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:8081``; no host means this machine alone."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal():
        _refuse(f"{text!r}: write host:port")
    if not 1 <= int(port) <= HIGHEST_PORT:
        _refuse(f"{text!r}: the port must be from 1 to {HIGHEST_PORT}")
    return host.strip("[]") or "127.0.0.1", int(port)


def parse_header(text: str) -> tuple[str, str]:
    """Return name and value of ``trace=1``."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        _refuse(f"{text!r}: write headers as --header key=value")
    return key, value


def check_text(value: object) -> str:
    """Return the text *value*, which may come from a file as something else.

    Raises:
        click.BadParameter: If it was given in bytes that are not UTF-8.
    """
    text = str(value)
    if any("\udc80" <= letter <= "\udcff" for letter in text):
        msg = "it is not UTF-8"
        raise click.BadParameter(msg)
    return text


def encode_argument(text: str) -> bytes:
    """Return the bytes of a command line argument, which need not be UTF-8."""
    return text.encode(errors="surrogateescape")


def _collect_headers(
    _ctx: click.Context, _option: click.Parameter, pairs: Sequence[tuple[str, str]]
) -> dict[str, str] | None:
    return dict(pairs) or None


# -- keyword arguments of click.option for such values ---------------------------------------------

COUNT: Final[Settings] = {"type": int, "metavar": "N"}
POSITIVE: Final[Settings] = {"type": click.IntRange(1), "metavar": "N"}
DURATION: Final[Settings] = {"type": parse_duration, "metavar": "DURATION"}
SIZE: Final[Settings] = {"type": parse_size, "metavar": "SIZE"}
INSTANT: Final[Settings] = {"type": parse_instant, "metavar": "INSTANT"}
ADDRESS: Final[Settings] = {"type": parse_address, "metavar": "HOST:PORT"}
HEADERS: Final[Settings] = {
    "type": parse_header,
    "metavar": "KEY=VALUE",
    "multiple": True,
    "callback": _collect_headers,
}
TEXT: Final[Settings] = {"type": check_text, "metavar": "TEXT"}
BYTES: Final[Settings] = {"type": encode_argument, "metavar": "TEXT"}


# -- options that were given -----------------------------------------------------------------------


def drop_none(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given; the others are None."""
    return {name: value for name, value in options.items() if value is not None}


@contextmanager
def flag_errors(given: Mapping[str, object]) -> Generator[None]:
    """Turn an error about an option into a usage error, with the flag of a given option.

    Args:
        given: Options of the command by the names that `OptionError` uses; None if not given.

    Raises:
        click.UsageError: For an `OptionError`.
    """
    try:
        yield
    except OptionError as error:
        name = "uri" if error.option == "broker" else error.option
        flag = error.option if given.get(name) is None else f"--{name.replace('_', '-')}"
        raise click.UsageError(str(OptionError(flag, error.value, error.allowed))) from error
