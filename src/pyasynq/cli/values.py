"""What options are made of: durations, weights, addresses, and their environment variables."""

import argparse
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

_ON: Final = frozenset({"1", "true", "yes", "on"})
_OFF: Final = frozenset({"0", "false", "no", "off"})
_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)")
HIGHEST_PORT: Final = 65_535
_UNIT_S: Final = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def duration(text: str) -> timedelta:
    """Return the duration that *text* gives in Go's form: ``8s``, ``1m30s``, ``250ms``, ``0``.

    Raises:
        ArgumentTypeError: If it is in no such form.
    """
    if text.startswith("-"):
        msg = f"{text} is negative: write 0 or more, 8s for instance"
        raise argparse.ArgumentTypeError(msg)
    parts = _PART.findall(text)
    if text == "0":
        return timedelta(0)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        msg = f"{text!r} is no duration: write 8s, 1m30s or 250ms"
        raise argparse.ArgumentTypeError(msg)
    return timedelta(seconds=sum(float(number) * _UNIT_S[unit] for number, unit in parts))


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


class _FromVariable(str):
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


class Options:
    """Adds options that also have an environment variable."""

    def __init__(self, parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
        """Add to *parser*; look into *environ*."""
        self._parser = parser
        self._environ = environ

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
        return self._add(flags, help, _on, {"action": _Switch, "default": False})

    def _add(
        self,
        flags: tuple[str, ...],
        help: str,
        type: Callable[[str], Any],
        settings: dict[str, Any],
    ) -> Self:
        variable = _variable(flags)
        given = _FromVariable.read(variable, self._environ)
        if given is not None:
            settings |= _from_variable(given, settings)
        self._parser.add_argument(
            *flags, help=f"{help} [{variable}]", type=_naming_variable(type), **settings
        )
        return self


def _from_variable(given: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changes about an option whose variable is set."""
    several = settings.get("action") == "append"
    return {"default": given.split(",") if several else given, "required": False}


class _Switch(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(option_strings, dest, nargs=0, **settings)

    def __call__(self, _parser: object, words: argparse.Namespace, *_: object) -> None:
        setattr(words, self.dest, True)


def _on(text: str) -> bool:
    if text.lower() in _ON:
        return True
    if text.lower() in _OFF:
        return False
    msg = f"{text!r} is neither 1 nor 0"
    raise argparse.ArgumentTypeError(msg)


def _naming_variable(convert: Callable[[str], T]) -> Callable[[str], T]:
    """Return *convert*, whose errors name the variable that the text comes from."""

    @functools.wraps(convert)
    def converted(text: str) -> T:
        try:
            return convert(text)
        except argparse.ArgumentTypeError as error:
            if isinstance(text, _FromVariable):
                msg = f"{text.variable}: {error}"
                raise argparse.ArgumentTypeError(msg) from None
            raise

    return converted


def _variable(flags: tuple[str, ...]) -> str:
    long = next(flag for flag in flags if flag.startswith("--"))
    return "PYASYNQ_" + long.lstrip("-").replace("-", "_").upper()
