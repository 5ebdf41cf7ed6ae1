"""Log lines on stderr: text for people, or JSON objects for programs."""

import logging
import sys
import time
import warnings
from typing import Final

import msgspec

from pyasynq.logs import FIELDS, TaskFields
from pyasynq.runtime.loggers import enable_loggers, get_logger

log: Final = get_logger("pyasynq.worker")

FORMAT: Final = "%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s"
FORMAT_OF_SEVERAL: Final = "%(asctime)s.%(msecs)03d %(process)d %(levelname)-7s %(message)s"
DEFAULT_FORMAT: Final = "console"
DEFAULT_LEVEL: Final = "info"
NEVER_AWAITED: Final = "coroutine .* was never awaited"


class _Console(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class has it
        line = super().formatMessage(record)
        task_id, task_type, queue, number = (getattr(record, name, "") for name in FIELDS)
        if not task_id or task_id in record.message:
            return line
        return f"{line} [{task_type} {task_id} in {queue!r}, try {number}]"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        entry |= {name: value for name in FIELDS if (value := getattr(record, name, ""))}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        entry = {key: _escape_surrogates(value) for key, value in entry.items()}
        return msgspec.json.encode(entry).decode()


def _escape_surrogates(value: object) -> object:
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


class Logs:
    """Shows log lines on stderr, unless the user's module configures logging.

    While the module is imported, our handler is `logging.lastResort` and not a handler of the root
    logger: otherwise `logging.basicConfig` in the module would have no effect.
    """

    def __init__(self, form: str | None, level: str | None, *, of_several: bool = False) -> None:
        """Make the handler.

        Args:
            form: ``console`` or ``json``; None is ``console``.
            level: Least important level to show; None is ``info``.
            of_several: Whether console lines show the process id; JSON lines always do.
        """
        self._given = [
            f"{flag} {value}"
            for flag, value in (("--log-format", form), ("--log-level", level))
            if value is not None
        ]
        self._level = getattr(logging, (level or DEFAULT_LEVEL).upper())
        self._handler = logging.StreamHandler(sys.stderr)
        console = FORMAT_OF_SEVERAL if of_several else FORMAT
        formatter = _Json() if form == "json" else _Console(console, "%H:%M:%S")
        formatter.converter = time.gmtime if form == "json" else time.localtime
        self._handler.setFormatter(formatter)
        self._handler.addFilter(TaskFields())

    def begin(self) -> None:
        """Show lines as long as nothing is configured."""
        logging.lastResort = self._handler
        if not logging.root.handlers:
            logging.root.setLevel(self._level)

    def resume(self) -> None:
        """Show lines after the import of the user's module, unless it has configured logging."""
        enable_loggers()
        if _is_unconfigured(self._level):
            logging.root.handlers = [self._handler]
        elif self._handler not in logging.root.handlers and self._given:
            log.warning("the app configures logging, without regard to %s", ", ".join(self._given))
            self._given = []  # the command looks up the app more than once


def _is_unconfigured(level: int) -> bool:
    """Return whether the root logger has the *level* that we set, and no handler of the user's.

    `logging.warning` and the like call `basicConfig` without arguments if there is no handler.
    """
    match logging.root.handlers:
        case []:
            return True
        case [logging.StreamHandler(stream=sys.stderr, formatter=logging.Formatter(_fmt=form))]:
            return form == logging.BASIC_FORMAT and logging.root.level == level
        case _:
            return False


_logs: Logs | None = None


def set_up(form: str | None, level: str | None, *, of_several: bool = False) -> None:
    """Begin to show log lines; see `Logs`."""
    global _logs  # noqa: PLW0603 - logging is global, too
    _logs = Logs(form, level, of_several=of_several)
    _logs.begin()
    logging.captureWarnings(True)
    # Python shows a warning once for each line of code, but each call was not awaited.
    warnings.filterwarnings("always", NEVER_AWAITED, RuntimeWarning)


def resume() -> None:
    """Call `Logs.resume`, if `set_up` was called."""
    if _logs is not None:
        _logs.resume()
