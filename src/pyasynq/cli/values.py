"""What options are made of: durations, weights, addresses, and their environment variables."""

import argparse
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from pyasynq import durations


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
    ) -> None:
        """Add an option with a value; argparse converts a text default as it does the option's."""
        variable = _variable(flags)
        settings.setdefault("default", None)
        settings["default"] = self._environ.get(variable, settings["default"])
        self._parser.add_argument(*flags, help=f"{help} [{variable}]", type=type, **settings)

    def switch(self, *flags: str, help: str) -> None:
        """Add an option without a value."""
        variable = _variable(flags)
        on = self._environ.get(variable, "").lower() in {"1", "true", "yes", "on"}
        self._parser.add_argument(
            *flags, help=f"{help} [{variable}]", action="store_true", default=on
        )


def _variable(flags: tuple[str, ...]) -> str:
    long = next(flag for flag in flags if flag.startswith("--"))
    return "PYASYNQ_" + long.lstrip("-").replace("-", "_").upper()
