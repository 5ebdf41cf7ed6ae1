"""What options are made of: durations, weights, addresses, and their environment variables."""

import argparse
import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeVar

from pyasynq.cli.exits import Exit, ExitError
from pyasynq.core import durations
from pyasynq.core.errors import OptionError

T = TypeVar("T")

HIGHEST_PORT: Final = 65_535
_ON: Final = frozenset({"1", "true", "yes", "on"})
_OFF: Final = frozenset({"0", "false", "no", "off"})


def duration(text: str) -> timedelta:
    """Return the duration that *text* gives in Go's form: ``8s``, ``1m30s``, ``250ms``, ``0``.

    Raises:
        ArgumentTypeError: If it is in no such form, or negative.
    """
    if text.startswith("-"):
        msg = f"{text} is negative: write 0 or more, 8s for instance"
        raise argparse.ArgumentTypeError(msg)
    try:
        return durations.parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def data(text: str) -> bytes:
    """Return the bytes that were given as the argument *text*, UTF-8 or not."""
    return text.encode(errors="surrogateescape")


def whole(text: str) -> int:
    """Return the whole number that *text* is.

    Raises:
        ArgumentTypeError: If it is none.
    """
    try:
        return int(text)
    except ValueError:
        msg = f"{text!r} is no whole number"
        raise argparse.ArgumentTypeError(msg) from None


def one_of(*choices: str) -> Callable[[str], str]:
    """Return what reads one of *choices*, in upper or lower case."""

    def read(text: str) -> str:
        if text.lower() in choices:
            return text.lower()
        msg = f"{text!r} is none of {', '.join(choices)}"
        raise argparse.ArgumentTypeError(msg)

    return read


def weights(text: str) -> dict[str, int]:
    """Return the queues and weights of ``critical=6,default=3,low``; no weight means 1.

    Raises:
        ArgumentTypeError: If it is in no such form.
    """
    queues: dict[str, int] = {}
    for part in text.split(","):
        queue, equals, weight = part.partition("=")
        name, _, number = part.rpartition(":")
        if name and number.isdigit() and not equals:
            msg = f"{part!r}: write {name}={number}"
            raise argparse.ArgumentTypeError(msg)
        if not queue or not (weight or "1").isdigit():
            msg = f"{text!r}: write queues as critical=6,default=3,low=1"
            raise argparse.ArgumentTypeError(msg)
        if queue in queues:
            msg = f"{text!r} names {queue!r} twice"
            raise argparse.ArgumentTypeError(msg)
        queues[queue] = int(weight or 1)
    return queues


def address(text: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:8081``; no host means this machine alone.

    Raises:
        ArgumentTypeError: If there is no port.
    """
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        msg = f"{text!r}: write host:port"
        raise argparse.ArgumentTypeError(msg)
    if not 1 <= int(port) <= HIGHEST_PORT:
        msg = f"{text!r}: the port must be from 1 to {HIGHEST_PORT}"
        raise argparse.ArgumentTypeError(msg)
    return host.strip("[]") or "127.0.0.1", int(port)


def instant(text: str) -> datetime:
    """Return the instant of ``2030-01-31T12:00:00Z`` (RFC 3339).

    Raises:
        ArgumentTypeError: If it is in no such form, or has no time zone.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.utcoffset() is None:
        msg = f"{text!r} is no instant: write 2030-01-31T12:00:00Z"
        raise argparse.ArgumentTypeError(msg)
    return at


def headers(texts: Sequence[str]) -> dict[str, str]:
    """Return the headers of texts such as ``trace=1``.

    Raises:
        ExitError: If one is in no such form.
    """
    pairs = [text.partition("=") for text in texts]
    if not all(key and joint for key, joint, _ in pairs):
        raise ExitError(Exit.USAGE, "write headers as --header key=value")
    return {key: value for key, _, value in pairs}


def in_words_of(
    words: Mapping[str, object], flags: Mapping[str, tuple[str, str]], error: OptionError
) -> str:
    """Return what *error* says; an option that was given as a flag is called as the flag is.

    Args:
        words: What was given.
        flags: Name among *words* and flag of each option that may be wrong.
        error: What is wrong.
    """
    name, flag = flags.get(error.option, ("", ""))
    if words.get(name) is None:
        return str(error)
    return str(OptionError(flag, error.value, error.allowed))


class FromVariable(str):
    """A default that an environment variable gives; converted only if the option is not given."""

    __slots__ = ("variable",)

    variable: str

    @classmethod
    def read(cls, variable: str, environ: Mapping[str, str]) -> "str | None":
        """Return the text in *variable*; an empty one counts as not set."""
        text = environ.get(variable)
        if not text:
            return None
        default = cls(text)
        default.variable = variable
        return default


class Flags:
    """Adds options that are given on the command line, or not at all."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        """Add to *parser*."""
        self._parser = parser

    def value(
        self,
        *flags: str,
        help: str,
        type: Callable[[str], Any] = str,
        **settings: Any,  # noqa: ANN401 - argparse's own settings
    ) -> Self:
        """Add an option with a value; argparse converts a text default as it does the option's."""
        if "choices" in settings:
            type = one_of(*settings["choices"])  # argparse itself lets any default pass
        return self._add(flags, help, type, settings)

    def switch(self, *flags: str, help: str) -> Self:
        """Add an option without a value."""
        return self._add(flags, help, on, {"action": _Switch, "default": False})

    def _add(
        self,
        flags: tuple[str, ...],
        help: str,
        type: Callable[[str], Any],
        settings: dict[str, Any],
    ) -> Self:
        self._parser.add_argument(*flags, help=help, type=type, **settings)
        return self


class Options(Flags):
    """Adds options that also have an environment variable."""

    def __init__(self, parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
        """Add to *parser*; look into *environ*."""
        super().__init__(parser)
        self._environ = environ

    def _add(
        self,
        flags: tuple[str, ...],
        help: str,
        type: Callable[[str], Any],
        settings: dict[str, Any],
    ) -> Self:
        variable = _variable(flags)
        given = FromVariable.read(variable, self._environ)
        if given is not None:
            settings |= _from_variable(given, settings)
        return super()._add(flags, f"{help} [{variable}]", naming_variable(type), settings)


def _from_variable(given: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changes about an option whose variable is set."""
    several = settings.get("action") == "append"
    return {"default": given.split(",") if several else given, "required": False}


class _Switch(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(option_strings, dest, nargs=0, **settings)

    def __call__(self, _parser: object, words: argparse.Namespace, *_: object) -> None:
        setattr(words, self.dest, True)


def on(text: str) -> bool:
    """Return whether *text* is one of the words for on.

    Raises:
        ArgumentTypeError: If it is none of those for off either.
    """
    if text.lower() in _ON:
        return True
    if text.lower() in _OFF:
        return False
    msg = f"{text!r} is neither 1 nor 0"
    raise argparse.ArgumentTypeError(msg)


def naming_variable(convert: Callable[[str], T]) -> Callable[[str], T]:
    """Return *convert*, whose errors name the variable that the text comes from."""

    @functools.wraps(convert)
    def converted(text: str) -> T:
        try:
            return convert(text)
        except argparse.ArgumentTypeError as error:
            if isinstance(text, FromVariable):
                msg = f"{text.variable}: {error}"
                raise argparse.ArgumentTypeError(msg) from None
            raise

    return converted


def _variable(flags: tuple[str, ...]) -> str:
    long = next(flag for flag in flags if flag.startswith("--"))
    return "PYASYNQ_" + long.lstrip("-").replace("-", "_").upper()
