"""Structured logs: lines for people in development, JSON for machines; never a secret."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

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


def set_up_logs(*, json: bool, level: str = "info") -> None:
    """Send what is logged from *level* up, by structlog or the standard library, to stderr.

    Of other packages nothing below ``info`` is shown, whatever the *level*: what drivers of
    databases and mail servers tell then holds the values that they are given.
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
        else [_console()]
    )
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(), processors=[remove_meta, *last]
    )


def _console() -> structlog.dev.ConsoleRenderer:
    # By default a trace would show the values of variables, passwords and tokens among them.
    plain = structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)


def without_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Blank the values of keys that hold secrets, should anybody log one by mistake."""
    for key in _SECRETS & event.keys():
        event[key] = "…"
    return event
