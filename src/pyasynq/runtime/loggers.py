"""The library's own loggers."""

import logging
from typing import Final


def get_logger(name: str) -> logging.Logger:
    """Return the logger of this *name*; what it emits can be written, whatever was raised."""
    logger = logging.getLogger(name)
    logger.addFilter(WRITABLE)
    return logger


def enable_loggers() -> None:
    """Let the library's loggers speak again.

    `logging.config` switches off every logger that it finds and a configuration does not name,
    unless told otherwise, so an app that configures logging would silence its worker. Levels and
    handlers stay as they are: a level is how to silence a logger for good.
    """
    for name, logger in [*logging.root.manager.loggerDict.items()]:
        if name.partition(".")[0] == "pyasynq" and isinstance(logger, logging.Logger):
            logger.disabled = False


class _Writable(logging.Filter):
    """Lets every record pass, and escapes in its texts what UTF-8 cannot hold.

    Texts of users and the errors they raise may hold surrogates: of a file's name, for instance. A
    handler that writes to a file would fail on them, and the line would be missing there.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Escape message and traceback of *record*, where they need it; its error stays."""
        message = _message(record)
        if message is not None and not _is_writable(message):
            record.msg, record.args = _escaped(message), ()
        if record.exc_info:
            trace = FORMATTER.formatException(record.exc_info)
            if not _is_writable(trace):
                record.exc_text = _escaped(trace)  # which formatters take instead of their own
        return True


WRITABLE: Final = _Writable()
FORMATTER: Final = logging.Formatter()


def _message(record: logging.LogRecord) -> str | None:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - of an argument that is the user's
        return None  # each handler tells it, in its own way


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
