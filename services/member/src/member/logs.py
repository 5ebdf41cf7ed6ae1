"""Structured logs: lines for people in development, JSON for machines; never a secret.

Nobody forges a line: JSON escapes what does not show, and so do we on the console, where every
line of a text but the first is indented.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from member import audit

_SECRETS = frozenset(
    {
        "password",
        "password_hash",
        "token",
        "access_token",
        "refresh_token",
        "current_password",
        "new_password",
        "token_key",
        "link",
        "authorization",
    }
)
_OURS = ("member", "pyasynq")
_INDENT = "    "


def set_up_logs(*, json: bool, level: str = "info") -> None:
    """Send what is logged from *level* up, by structlog or the standard library, to stderr.

    Of other packages nothing below ``info`` is shown, whatever the *level*: what drivers of
    databases and mail servers tell then holds the values that they are given. Of the audit trail
    everything is.
    """
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(json=json))
    number = logging.getLevelNamesMapping()[level.upper()]
    others = max(number, logging.INFO)
    logging.basicConfig(handlers=[handler], level=others, force=True)
    logging.getLogger("alembic").setLevel(max(number, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(number)
    logging.getLogger(audit.LOGGER).setLevel(logging.INFO)


def _shared() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_secrets,
    ]


def _formatter(*, json: bool) -> logging.Formatter:
    last: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json
        else [_escaped, _console()]
    )
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(), processors=[remove_meta, *last]
    )


def _console() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_trace)


def _trace(stream: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Write a traceback; not structlog's own, which shows the values of variables."""
    text = "".join(traceback.format_exception(*exc_info)).rstrip("\n")
    stream.write(f"\n{_INDENT}{_visible(text)}")


def _escaped(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Escape what does not show in texts; of other values the console shows what `repr` does."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _visible(value)
    return event


def _visible(text: str) -> str:
    """Return *text* with what does not show escaped, and each line but the first indented."""
    seen = (c if c.isprintable() or c == "\n" else _escape(c) for c in text)
    return "".join(seen).replace("\n", f"\n{_INDENT}")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def without_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Blank the values of keys that hold secrets, should anybody log one by mistake."""
    for key in _SECRETS & event.keys():
        event[key] = "…"
    return event
