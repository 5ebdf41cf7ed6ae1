"""What options are made of: durations, weights, addresses, and their environment variables."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar

import click

from pyasynq.core import durations
from pyasynq.core.errors import OptionError

F = TypeVar("F", bound=Callable[..., object])

Settings: TypeAlias = dict[str, Any]
"""Keyword arguments of `click.option`."""

HIGHEST_PORT: Final = 65_535


def option_with_variable(*flags: str, **settings: Any) -> Callable[[F], F]:  # noqa: ANN401 - click's own settings
    """Return `click.option` for an option that has an environment variable as well."""
    long = next(flag for flag in flags if flag.startswith("--"))
    variable = "PYASYNQ_" + long.removeprefix("--").replace("-", "_").upper()
    return click.option(*flags, envvar=variable, show_envvar=True, **settings)


# -- values: functions that click calls with the text ----------------------------------------------


def parse_duration(text: str) -> timedelta:
    """Return the duration that *text* gives in Go's form: ``8s``, ``1m30s``, ``250ms``, ``0``.

    Raises:
        click.BadParameter: If it has another form, or is negative.
    """
    if text.startswith("-"):
        msg = f"{text} is negative: write 0 or more, 8s for instance"
        raise click.BadParameter(msg)
    try:
        return durations.parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def parse_instant(text: str) -> datetime:
    """Return the instant of ``2030-01-31T12:00:00Z`` (RFC 3339).

    Raises:
        click.BadParameter: If it has another form, or no time zone.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.utcoffset() is None:
        msg = f"{text!r} is no instant: write 2030-01-31T12:00:00Z"
        raise click.BadParameter(msg)
    return at


def parse_weights(text: str) -> dict[str, int]:
    """Return the queues and weights of ``critical=6,default=3,low``; no weight means 1.

    Raises:
        click.BadParameter: If it has another form.
    """
    queues: dict[str, int] = {}
    for part in text.split(","):
        queue, equals, weight = part.partition("=")
        name, _, number = part.rpartition(":")
        if name and number.isdigit() and not equals:
            msg = f"{part!r}: write {name}={number}"
            raise click.BadParameter(msg)
        if not queue or not (weight or "1").isdigit():
            msg = f"{text!r}: write queues as critical=6,default=3,low=1"
            raise click.BadParameter(msg)
        if queue in queues:
            msg = f"{text!r} names {queue!r} twice"
            raise click.BadParameter(msg)
        queues[queue] = int(weight or 1)
    return queues


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:8081``; no host means this machine alone.

    Raises:
        click.BadParameter: If there is no port.
    """
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        msg = f"{text!r}: write host:port"
        raise click.BadParameter(msg)
    if not 1 <= int(port) <= HIGHEST_PORT:
        msg = f"{text!r}: the port must be from 1 to {HIGHEST_PORT}"
        raise click.BadParameter(msg)
    return host.strip("[]") or "127.0.0.1", int(port)


def parse_header(text: str) -> tuple[str, str]:
    """Return name and value of ``trace=1``.

    Raises:
        click.BadParameter: If it has another form.
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        msg = f"{text!r}: write headers as --header key=value"
        raise click.BadParameter(msg)
    return key, value


def encode_argument(text: str) -> bytes:
    """Return the bytes that were given as the argument *text*, UTF-8 or not."""
    return text.encode(errors="surrogateescape")


def _collect_headers(
    _ctx: click.Context, _option: click.Parameter, pairs: Sequence[tuple[str, str]]
) -> dict[str, str] | None:
    return dict(pairs) or None


# -- what click.option takes for such values -------------------------------------------------------

DURATION: Final[Settings] = {"type": parse_duration, "metavar": "DURATION"}
INSTANT: Final[Settings] = {"type": parse_instant, "metavar": "INSTANT"}
ADDRESS: Final[Settings] = {"type": parse_address, "metavar": "HOST:PORT"}
HEADERS: Final[Settings] = {
    "type": parse_header,
    "metavar": "KEY=VALUE",
    "multiple": True,
    "callback": _collect_headers,
}
BYTES: Final[Settings] = {"type": encode_argument, "metavar": "TEXT"}


# -- errors ----------------------------------------------------------------------------------------


def name_flag(error: OptionError, given: Mapping[str, object]) -> str:
    """Return what *error* says; an option that was given here is called as its flag is.

    Args:
        error: What is wrong with an option of a server or scheduler.
        given: The options of the command; those that were not given are None.
    """
    name = "uri" if error.option == "broker" else error.option
    if given.get(name) is None:
        return str(error)
    return str(OptionError(f"--{name.replace('_', '-')}", error.value, error.allowed))
