"""The library's own loggers."""

import logging
from typing import Final


def get_logger(name: str) -> logging.Logger:
    """Return the logger of this *name*, with the filter that makes its records valid UTF-8."""
    logger = logging.getLogger(name)
    logger.addFilter(WRITABLE)
    return logger


def enable_loggers() -> None:
    """Enable the library's loggers again.

    By default `logging.config` disables every logger that the configuration does not name, so an
    app that configures logging would silence its worker. Levels and handlers stay as they are: to
    silence a logger for good, set its level.
    """
    for name, logger in [*logging.root.manager.loggerDict.items()]:
        if name.partition(".")[0] == "pyasynq" and isinstance(logger, logging.Logger):
            logger.disabled = False


class _Writable(logging.Filter):
    """Passes every record, and escapes what UTF-8 cannot encode.

    Texts and errors of users may contain surrogates, from a file's name for instance. A handler
    that writes to a file would fail on them, and the line would be missing.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Escape message and traceback of *record* where needed; its `exc_info` stays."""
        message = _format_message(record)
        if message is not None and not _is_writable(message):
            record.msg, record.args = _escape(message), ()
        if record.exc_info:
            trace = FORMATTER.formatException(record.exc_info)
            if not _is_writable(trace):
                record.exc_text = _escape(trace)  # formatters use it if it is set
        return True


WRITABLE: Final = _Writable()
FORMATTER: Final = logging.Formatter()


def _format_message(record: logging.LogRecord) -> str | None:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - raised by an argument of the user's
        return None  # each handler reports it in its own way


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escape(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
