"""Structured logs: lines for people in development, JSON for machines; never a secret.

Nobody can forge a line: JSON escapes invisible characters. So does the console, which also indents
all lines of a text but the first.
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
    """Send log lines of *level* and above, from structlog or the standard library, to stderr.

    Other packages never log below ``info``: their debug lines hold the values that database and
    mail drivers are given. The audit trail is always complete.
    """
    structlog.configure(
        processors=[*_shared_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
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


def _shared_processors() -> list[structlog.typing.Processor]:
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
        else [_escape_texts, _console()]
    )
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared_processors(), processors=[remove_meta, *last]
    )


def _console() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=_write_traceback
    )


def _write_traceback(stream: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Write a plain traceback; structlog's own would show the values of variables."""
    text = "".join(traceback.format_exception(*exc_info)).rstrip("\n")
    stream.write(f"\n{_INDENT}{_escape_invisible(text)}")


def _escape_texts(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Escape invisible characters in strings; the console shows other values by `repr`."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _escape_invisible(value)
    return event


def _escape_invisible(text: str) -> str:
    """Return *text* with invisible characters escaped and all lines but the first indented."""
    seen = (c if c.isprintable() or c == "\n" else _escape_character(c) for c in text)
    return "".join(seen).replace("\n", f"\n{_INDENT}")


def _escape_character(character: str) -> str:
    return character.encode("unicode_escape").decode()


def without_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Blank the values of secret keys, in case somebody logs one by mistake."""
    for key in _SECRETS & event.keys():
        event[key] = "…"
    return event
