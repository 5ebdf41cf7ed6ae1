"""What options are made of: durations, weights, addresses, and their environment variables."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from pyasynq import durations
from pyasynq.cli.exits import Exit, ExitError


def duration(text: str) -> timedelta:
    """Return the duration that *text* gives in Go's form: ``8s``, ``1m30s``, ``250ms``, ``0``.

    Raises:
        ArgumentTypeError: If it is in no such form, or negative.
    """
    try:
        span = durations.parsed(text)
    except ValueError:
        span = None
    if span is None or text.startswith("-"):
        msg = f"{text!r} is no duration: write 8s, 1m30s or 250ms"
        raise argparse.ArgumentTypeError(msg)
    return span


def weights(text: str) -> dict[str, int]:
    """Return the queues and weights of ``critical=6,default=3,low``; no weight means 1.

    Raises:
        ArgumentTypeError: If it is in no such form.
    """
    queues: dict[str, int] = {}
    for part in text.split(","):
        queue, _, weight = part.partition("=")
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
        variable = _variable(flags)
        settings.setdefault("default", None)
        settings["default"] = self._environ.get(variable, settings["default"])
        if variable in self._environ:
            settings |= _from_variable(settings)
        if "choices" in settings:
            type = _one_of(settings["choices"])  # argparse itself lets any default pass
        self._parser.add_argument(*flags, help=f"{help} [{variable}]", type=type, **settings)
        return self

    def switch(self, *flags: str, help: str) -> Self:
        """Add an option without a value."""
        variable = _variable(flags)
        on = self._environ.get(variable, "").lower() in {"1", "true", "yes", "on"}
        self._parser.add_argument(
            *flags, help=f"{help} [{variable}]", action="store_true", default=on
        )
        return self


def _from_variable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changes about an option whose variable is set."""
    changes: dict[str, Any] = {"required": False}
    if settings.get("action") == "append":
        changes["default"] = settings["default"].split(",")
    return changes


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    def chosen(text: str) -> str:
        if text not in choices:
            msg = f"invalid choice: {text!r} (choose from {', '.join(choices)})"
            raise argparse.ArgumentTypeError(msg)
        return text

    return chosen


def _variable(flags: tuple[str, ...]) -> str:
    long = next(flag for flag in flags if flag.startswith("--"))
    return "PYASYNQ_" + long.lstrip("-").replace("-", "_").upper()
